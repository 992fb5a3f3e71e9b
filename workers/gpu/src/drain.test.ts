import { makeBatcher } from '@forebay/batcher'
import { makeEngineMeter } from '@forebay/engine-time'
import { ManualClock, makeRegistry, silentLogger } from '@forebay/kernel'
import { expect, it } from 'vitest'
import { RequestDispatcher } from './dispatcher.ts'
import { type DrainReason, makeDrain } from './drain.ts'
import { makeTimeLimits } from './engine/time-limits.ts'
import { makeWorkerMetrics } from './metrics.ts'
import type { Task } from './task.ts'

const usage = { promptTokens: 10, completionTokens: 100, cachedTokens: null, reasoningTokens: 0 }

/** A worker with two seats that holds `count` batch requests of 100 output tokens, each taking `takesMs`. */
function setUp(options: { count: number; takesMs: number; learned?: boolean; drainMs?: number }) {
  const clock = new ManualClock()
  const startMs = clock.now()
  const limits = makeTimeLimits({ floorMs: 1_000 })
  if (options.learned ?? true) limits.learn(options.takesMs, usage)
  const batcher = makeBatcher({ seats: { start: 2, max: 2 }, realtimeSeats: 0 })
  const dispatcher = new RequestDispatcher({
    batcher,
    clock,
    logger: silentLogger,
    metrics: makeWorkerMetrics(makeRegistry()),
    meter: makeEngineMeter({ gpus: 1, startMs }),
    attempts: 3,
    isEngineUp: () => true,
    onTrouble: () => {},
    onFree: () => {},
  })
  const ended: string[] = []
  const dropped: string[] = []
  const open = new Map<string, () => void>()
  const begun: DrainReason[] = []
  let all: Promise<unknown> = Promise.resolve()
  for (let i = 0; i < options.count; i++) {
    const id = `r${i}`
    const gone = new Promise<void>((resolve) => open.set(id, resolve))
    all = Promise.all([all, gone])
    const task: Task = {
      id,
      lane: 'batch',
      model: 'm',
      batchId: 'b',
      prefixGroup: 0,
      bytes: 40,
      estTokens: 110,
      deadlineMs: startMs + 1e9,
      streams: false,
      suspicion: 0,
      async attempt(signal) {
        const cut = new AbortController()
        signal.addEventListener('abort', () => cut.abort(signal.reason), { once: true })
        await clock.sleep(options.takesMs, cut.signal)
        ended.push(id)
        open.get(id)?.()
        return { kind: 'ended', usage }
      },
      fail: () => {},
      dropped() {
        dropped.push(id)
        open.get(id)?.()
      },
    }
    dispatcher.submit(task)
  }
  const drain = makeDrain({
    clock,
    tools: { batcher, dispatcher, limits, flusher: { drain: async () => {} } },
    chunks: {
      idle: async () => void (await all),
      returnAll: (_, { abort }) => {
        for (const id of open.keys()) dispatcher.drop(id, { abort })
      },
    },
    live: { abandonAll: () => {}, idle: async () => {} },
    pulling: { stop: async () => {}, release: async () => {} },
    drainMs: options.drainMs ?? 10_000,
    lastFlushMs: 1_000,
    onBegin: (reason) => begun.push(reason),
    close: async () => dispatcher.stop(),
  })
  return { begun, clock, drain, dropped, ended, startMs }
}

it('told to stop, lets finish what runs and hands back what waits at once', async () => {
  const { begun, clock, drain, dropped, ended } = setUp({ count: 6, takesMs: 5_000 })
  await clock.advance(100)
  const done = drain.run()
  await clock.advance(1)
  expect(dropped).toEqual(['r2', 'r3', 'r4', 'r5'])
  await clock.advance(20_000)
  await done
  expect(ended).toEqual(['r0', 'r1'])
  expect(begun).toEqual(['stop'])
})

it('when its machine goes, goes on with what it holds as long as that ends in time, and hands back the rest', async () => {
  const { begun, clock, drain, dropped, ended, startMs } = setUp({ count: 10, takesMs: 5_000 })
  await clock.advance(100)
  // Two seconds are kept: so until 18 s after now, which is three rounds of two.
  drain.leaveBy(clock.now() + 20_000)
  const done = drain.run()
  await clock.advance(30_000)
  await done
  expect(ended).toEqual(['r0', 'r1', 'r2', 'r3', 'r4', 'r5'])
  expect(dropped).toHaveLength(4)
  expect(begun).toEqual(['spot'])
  expect(clock.now() - startMs).toBeLessThan(31_000)
})

it('cuts at once what runs and cannot end before its machine goes', async () => {
  const { clock, drain, dropped, ended } = setUp({ count: 2, takesMs: 60_000 })
  await clock.advance(100)
  drain.leaveBy(clock.now() + 20_000)
  const done = drain.run()
  await clock.advance(1)
  expect(dropped).toEqual(['r0', 'r1'])
  await done
  expect(ended).toEqual([])
})

it('without experience gives what it holds its chance until the machine goes', async () => {
  const { clock, drain, dropped, ended } = setUp({ count: 4, takesMs: 12_000, learned: false })
  await clock.advance(100)
  drain.leaveBy(clock.now() + 20_000)
  const done = drain.run()
  await clock.advance(17_000)
  expect(dropped).toEqual([])
  await clock.advance(10_000)
  await done
  expect(ended).toEqual(['r0', 'r1'])
  expect(dropped).toEqual(['r2', 'r3'])
})

it('ends sooner when the machine goes sooner than the drain would take', async () => {
  const { clock, drain, dropped } = setUp({ count: 2, takesMs: 60_000, drainMs: 50_000 })
  await clock.advance(100)
  const done = drain.run()
  await clock.advance(1_000)
  drain.leaveBy(clock.now() + 7_000)
  await clock.advance(4_900)
  expect(dropped).toEqual([])
  await clock.advance(200)
  expect(dropped).toEqual(['r0', 'r1'])
  await done
})
