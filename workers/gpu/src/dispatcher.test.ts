import { makeBatcher } from '@forebay/batcher'
import { makeEngineMeter } from '@forebay/engine-time'
import { ManualClock, makeRegistry, silentLogger } from '@forebay/kernel'
import { expect, it } from 'vitest'
import { RequestDispatcher } from './dispatcher.ts'
import type { Failure } from './engine/outcome.ts'
import { makeWorkerMetrics } from './metrics.ts'
import type { AttemptEnd, Task } from './task.ts'

const usage = { promptTokens: 10, completionTokens: 5, cachedTokens: null, reasoningTokens: 0 }
const done: AttemptEnd = { kind: 'ended', usage }
const failure = (fields: Partial<Failure> = {}): Failure => ({
  kind: 'failure',
  reason: 'status',
  status: 500,
  message: 'no',
  ...fields,
})

function setUp() {
  const clock = new ManualClock()
  const startMs = clock.now()
  const dispatcher = new RequestDispatcher({
    batcher: makeBatcher({ seats: { start: 8, max: 8 }, realtimeSeats: 0 }),
    clock,
    logger: silentLogger,
    metrics: makeWorkerMetrics(makeRegistry()),
    attempts: 3,
    meter: makeEngineMeter({ gpus: 1, startMs }),
    isEngineUp: () => true,
    onTrouble: () => {},
    onFree: () => {},
  })
  const tries: Record<string, number[]> = {}
  const ends: Record<string, string> = {}
  /** Submits a request whose attempts end as told, in turn; the last again and again. */
  const submit = (id: string, outcomes: AttemptEnd[], fields: Partial<Task> = {}) => {
    const seen: number[] = []
    tries[id] = seen
    dispatcher.submit({
      id,
      lane: 'batch',
      model: 'm',
      batchId: 'b',
      prefixGroup: 0,
      bytes: 40,
      estTokens: 20,
      deadlineMs: startMs + 1e9,
      streams: false,
      suspicion: 0,
      async attempt() {
        seen.push(clock.now() - startMs)
        const end = outcomes[Math.min(seen.length, outcomes.length) - 1] ?? done
        if (end.kind === 'ended') ends[id] = 'ended'
        return end
      },
      fail: ({ status }) => {
        ends[id] = `failed ${status} at ${clock.now() - startMs}`
      },
      dropped: () => {
        ends[id] = 'dropped'
      },
      ...fields,
    })
  }
  /** In small steps: what is admitted is so in a later turn of the event loop, in which no time may have passed. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 50) await clock.advance(Math.min(50, left))
  }
  return { clock, ends, pass, submit, tries }
}

it('waits as long as Retry-After says before it tries again, and lets nothing of a batch in meanwhile', async () => {
  const { ends, pass, submit, tries } = setUp()
  submit('a', [failure({ status: 503, retryAfterMs: 7_000 }), done])
  await pass(100)
  submit('b', [done])
  await pass(60_000)
  expect(tries['a']).toHaveLength(2)
  expect(tries['a']?.[1]).toBeGreaterThanOrEqual(7_000)
  expect(tries['b']?.[0]).toBeGreaterThanOrEqual(7_000)
  expect(ends).toEqual({ a: 'ended', b: 'ended' })
})

it('backs off longer after each failure, and gives a poison request up after three attempts', async () => {
  const { ends, pass, submit, tries } = setUp()
  submit('poison', [failure()])
  for (const id of ['x', 'y', 'z']) submit(id, [done])
  await pass(60_000)
  const [first = 0, second = 0, third = 0, ...more] = tries['poison'] ?? []
  expect(more).toEqual([])
  expect(second - first).toBeGreaterThanOrEqual(125)
  expect(third - second).toBeGreaterThanOrEqual(250)
  expect(ends).toMatchObject({ poison: expect.stringContaining('failed 500'), x: 'ended', y: 'ended', z: 'ended' })
})

it('counts overload half for batch work, so that a few seconds of it fill no error file', async () => {
  const { ends, pass, submit, tries } = setUp()
  submit('a', [...Array.from({ length: 5 }, () => failure({ status: 429 })), done])
  await pass(120_000)
  expect(tries['a']).toHaveLength(6)
  expect(ends['a']).toBe('ended')
})

it('fails a live request at once when the engine asks it to come back after its deadline', async () => {
  const { clock, ends, pass, submit } = setUp()
  const live = { lane: 'realtime', batchId: null, deadlineMs: clock.now() + 5_000 } as const
  submit('a', [failure({ status: 429, retryAfterMs: 60_000 })], live)
  await pass(1_000)
  expect(ends['a']).toBe('failed 429 at 0')
})

it('charges no attempt to a request that the engine never got', async () => {
  const { ends, pass, submit } = setUp()
  submit('a', [...Array.from({ length: 10 }, () => failure({ reason: 'down', status: 502 })), done])
  await pass(60_000)
  expect(ends['a']).toBe('ended')
})
