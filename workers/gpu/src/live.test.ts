import type { ReplyFrame } from '@forebay/contracts'
import { startEngineSim } from '@forebay/engine-sim'
import { ManualClock } from '@forebay/kernel'
import { eventually } from '@forebay/test-support'
import { afterEach, expect, it } from 'vitest'
import { type Bench, completion, line, makeBench, startFakeEngine } from './testing/bench.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
async function fake(...args: Parameters<typeof startFakeEngine>) {
  const made = await startFakeEngine(...args)
  cleanups.push(() => made.stop())
  return made
}
async function bench(env?: Record<string, string>): Promise<Bench> {
  const made = await makeBench(env)
  cleanups.push(() => made.stop())
  return made
}
/** A bench whose time is moved by the test; it goes on by itself at the end. */
async function benchByHand(env?: Record<string, string>) {
  const clock = new ManualClock()
  const b = await makeBench(env, { clock })
  cleanups.push(async () => {
    let stopped = false
    const stopping = b.stop().finally(() => {
      stopped = true
    })
    await eventually(() => clock.advance(500).then(() => stopped), { what: 'the bench to stop' })
    await stopping
  })
  return { b, clock }
}
const has = (b: Bench, type: ReplyFrame['type']) => b.frames.some((frame) => frame.type === type)
const textOf = (b: Bench) => b.frames.map((frame) => (frame.type === 'data' ? frame.text : '')).join('')
const messages = [{ role: 'user', content: 'hello' }]

it('replies with the whole answer in frames numbered without gaps, and stores the result', async () => {
  const sim = await startEngineSim({ profile: 'instant' })
  cleanups.push(() => sim.stop())
  const b = await bench()
  await b.worker(sim.url)
  await b.ask({ messages, max_tokens: 5 }, { route: 'eu: the best score.' })
  await eventually(() => has(b, 'end') && b.results.length === 1, { what: 'the reply and its result' })
  await b.settled('default.realtime')
  const frames = b.frames.filter((frame) => frame.type !== 'alive')
  expect(frames.map((frame) => frame.type).slice(-3)).toEqual(['head', 'data', 'end'])
  expect(b.frames.map((frame) => frame.seq)).toEqual(b.frames.map((_, i) => i))
  const { usage } = JSON.parse(textOf(b))
  expect(frames.at(-1)).toMatchObject({ usage: { completionTokens: usage.completion_tokens } })
  expect(b.results[0]).toMatchObject({
    requestId: 'req_1',
    batchId: null,
    outcome: 'succeeded',
    statusCode: 200,
    route: 'eu: the best score.',
    bytes: null,
  })
})

it('says who has a request whose answer does not begin at once, then every second that it is alive', async () => {
  const answers: (() => void)[] = []
  const engine = await fake((_, res) => {
    const answer = () => res.setHeader('content-type', 'application/json').end(completion())
    if (answers.push(answer) === 1) answer()
  })
  const { b, clock } = await benchByHand()
  const worker = await b.worker(engine.url)
  await b.ask({ messages })
  const later = async (done: () => boolean) => {
    await clock.advance(10)
    return done()
  }
  await eventually(() => later(() => has(b, 'end')), { what: 'the answer that comes at once' })
  await b.ask({ messages }, { requestId: 'req_2' })
  await eventually(() => later(() => answers.length === 2), { what: 'the engine call' })
  const typesOf = () => b.frames.filter(({ requestId }) => requestId === 'req_2').map(({ type }) => type)
  await clock.advance(3_000)
  answers[1]?.()
  await eventually(() => later(() => typesOf().includes('end')), { what: 'the other answer' })
  expect(typesOf()).toEqual(['accepted', 'alive', 'alive', 'head', 'data', 'end'])
  expect(b.frames.find(({ type }) => type === 'accepted')).toMatchObject({ workerId: worker.workerId, seq: 0 })
})

it('relays a stream chunk by chunk as the engine sends it, characters whole, usage read on the way', async () => {
  const steps: (() => void)[] = []
  const engine = await fake((_, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    const first = Buffer.from('data: {"choices":[{"delta":{"content":"né"}}]}\n\n')
    const cut = first.indexOf(0xa9)
    steps.push(() => res.write(first.subarray(0, cut)))
    steps.push(() => res.write(first.subarray(cut)))
    steps.push(() =>
      res.end('data: {"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":1}}\n\ndata: [DONE]\n\n'),
    )
  })
  const b = await bench()
  await b.worker(engine.url)
  await b.ask({ messages, stream: true })
  await eventually(() => steps.length === 3, { what: 'the engine call' })
  steps[0]?.()
  await eventually(() => has(b, 'data'), { what: 'the first piece' })
  expect(has(b, 'end')).toBe(false)
  expect(textOf(b)).toMatch(/"n$/)
  steps[1]?.()
  await eventually(() => textOf(b).includes('né'), { what: 'the second piece' })
  steps[2]?.()
  await eventually(() => has(b, 'end') && b.results.length === 1, { what: 'the end' })
  expect(b.frames.at(-1)).toMatchObject({ type: 'end', usage: { promptTokens: 4, completionTokens: 1 } })
  expect(textOf(b).endsWith('data: [DONE]\n\n')).toBe(true)
  expect(b.results[0]).toMatchObject({ outcome: 'succeeded', usage: { promptTokens: 4, completionTokens: 1 } })
})

it('aborts the engine request on a cancel without waiting for anything, and records what was used', async () => {
  const engine = await fake((_, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    for (let i = 0; i < 3; i++) res.write('data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
  })
  const { b, clock } = await benchByHand()
  const later = async (done: () => boolean) => {
    await clock.advance(20)
    return done()
  }
  await b.worker(engine.url)
  await b.ask({ messages, stream: true })
  await eventually(() => later(() => textOf(b).split('data:').length === 4), { what: 'three tokens' })
  // From here until the abort the worker's time stands still: no timer of its own lies between cancel and abort.
  await b.bus.control({ type: 'cancel-request', requestId: 'req_other', attempt: 1, reason: 'left' })
  await b.bus.control({ type: 'cancel-request', requestId: 'req_1', attempt: 2, reason: 'left' })
  expect(engine.seen[0]?.aborted).toBe(false)
  await b.bus.control({ type: 'cancel-request', requestId: 'req_1', attempt: 1, reason: 'left' })
  await eventually(() => engine.seen[0]?.aborted, { what: 'the abort' })
  await eventually(() => later(() => b.results.length === 1), { what: 'the result' })
  await b.settled('default.realtime')
  expect(b.results[0]).toMatchObject({ outcome: 'cancelled', usage: { completionTokens: 3 } })
  expect(has(b, 'end') || has(b, 'error')).toBe(false)
})

it('tries again what fails before the first byte, and passes a refusal on as it is', async () => {
  const engine = await fake((seen, res, count) => {
    if (seen.body.includes('refuse'))
      return res.writeHead(400, { 'content-type': 'application/json' }).end('{"error":{"message":"too long"}}')
    if (count === 1) return res.writeHead(503, { 'retry-after': '0' }).end('{}')
    res.setHeader('content-type', 'application/json').end(completion())
  })
  const b = await bench()
  await b.worker(engine.url)
  await b.ask({ messages })
  await eventually(() => has(b, 'end'), { what: 'the reply' })
  expect(textOf(b)).toBe(completion())
  expect(engine.seen).toHaveLength(2)
  b.frames.length = 0
  await b.ask({ messages, note: 'refuse' }, { requestId: 'req_2' })
  await eventually(() => has(b, 'end'), { what: 'the refusal' })
  expect(b.frames.find((frame) => frame.type === 'head')).toMatchObject({ status: 400 })
  expect(textOf(b)).toBe('{"error":{"message":"too long"}}')
  await eventually(() => b.results.length === 2, { what: 'the results' })
  expect(b.results.map((r) => r.outcome)).toEqual(['succeeded', 'failed'])
})

it('tells the client of a stream that breaks after its first byte, and does not begin it again', async () => {
  const pieces = [
    'data: {"error":{"message":"engine died"}}\n\n',
    'data: {"choices":[{"delta":{},"finish_reason":"abort"}]}\n\n',
    undefined,
  ]
  const engine = await fake((_, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write('data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
    setTimeout(() => {
      const piece = pieces.shift()
      if (piece === undefined) res.destroy()
      else res.write(piece)
    }, 20)
  })
  const b = await bench()
  await b.worker(engine.url)
  for (const requestId of ['req_a', 'req_b', 'req_c']) {
    b.frames.length = 0
    await b.ask({ messages, stream: true }, { requestId })
    await eventually(() => has(b, 'error'), { what: `the error of ${requestId}` })
    expect(b.frames.at(-1)).toMatchObject({ type: 'error', status: 502, code: 'engine_error' })
    expect(textOf(b)).toContain('"content":"x"')
  }
  expect(engine.seen).toHaveLength(3)
  await eventually(() => b.results.length === 3, { what: 'the results' })
  expect(b.results.every((r) => r.outcome === 'failed')).toBe(true)
})

it('refuses what is past its deadline without running it, and cuts what passes it', async () => {
  const engine = await fake(() => {})
  const b = await bench()
  await b.worker(engine.url)
  await b.ask({ messages }, { deadlineMs: Date.now() - 1 })
  await eventually(() => has(b, 'error'), { what: 'the refusal' })
  expect(b.frames.at(-1)).toMatchObject({ status: 408, code: 'timeout' })
  expect(engine.seen).toEqual([])
  // As if it had been accepted only when it began, however busy the machine is.
  const hasTime = { requestId: 'req_2', acceptedAtMs: Date.now() + 60_000, deadlineMs: Date.now() + 200 }
  await b.ask({ messages }, hasTime)
  await eventually(() => engine.seen[0]?.aborted, { what: 'the cut' })
  await b.settled('default.realtime')
  expect(b.results.map((r) => r.statusCode)).toEqual([408, 408])
})

it('says that there was no room, and when to retry, when what it cuts had waited longer than it ran', async () => {
  const engine = await fake(() => {})
  const b = await bench()
  await b.worker(engine.url)
  await b.ask({ messages }, { acceptedAtMs: Date.now() - 60_000, deadlineMs: Date.now() + 500 })
  await eventually(() => engine.seen[0]?.aborted, { what: 'the cut' })
  await b.settled('default.realtime')
  expect(b.frames.at(-1)).toMatchObject({ type: 'error', status: 503, code: 'overloaded', retryAfterMs: 1_000 })
})

it('goes on with the running attempt when the broker delivers it again, and gives it up for a newer one', async () => {
  const answers: (() => void)[] = []
  const engine = await fake((_, res) => answers.push(() => res.end(completion())))
  const b = await bench()
  await b.worker(engine.url)
  await b.ask({ messages })
  await eventually(() => answers.length === 1, { what: 'the first attempt' })
  await b.ask({ messages })
  const isSettled = async () => {
    const { inFlight, visible } = await b.queues.queue('default.realtime').depth()
    return visible === 0 && inFlight === 1
  }
  await eventually(isSettled, { what: 'the second delivery to be settled' })
  expect(engine.seen[0]?.aborted).toBe(false)
  await b.ask({ messages }, { attempt: 2 })
  await eventually(() => answers.length === 2 && engine.seen[0]?.aborted, { what: 'the second attempt' })
  answers[1]?.()
  await eventually(() => b.results.length === 1, { what: 'the result' })
  await b.settled('default.realtime')
  expect(b.results[0]).toMatchObject({ attempt: 2, outcome: 'succeeded' })
  expect(b.frames.filter((frame) => frame.type === 'end')).toMatchObject([{ attempt: 2 }])
})

it('says that it is alive while the engine is silent', async () => {
  const engine = await fake(() => {})
  const b = await bench({ FOREBAY_DRAIN_MS: '0' })
  await b.worker(engine.url)
  await b.ask({ messages })
  await eventually(() => b.frames.filter((frame) => frame.type === 'alive').length === 2, { what: 'two signs of life' })
  expect(b.frames.map((frame) => frame.seq)).toEqual(b.frames.map((_, i) => i))
})

it('starts a realtime request at once although batch work fills the engine', async () => {
  const held: (() => void)[] = []
  const engine = await fake((seen, res) => {
    if (seen.body.includes('hello')) res.end(completion('hi'))
    else held.push(() => res.end(completion()))
  })
  const b = await bench({ FOREBAY_ENGINE_IN_FLIGHT: '8' })
  await b.worker(engine.url)
  await b.release(Array.from({ length: 20 }, (_, i) => line(`${i}`, `q ${i}`)))
  await eventually(() => held.length === 8, { what: 'the batch to fill every seat' })
  await b.ask({ messages })
  // One of the batch's requests makes room, and runs again.
  await eventually(() => has(b, 'end'), { what: 'the reply' })
  expect(engine.seen.filter((seen) => seen.aborted)).toHaveLength(1)
  while (b.results.length < 21) {
    held.shift()?.()
    await eventually(() => held.length > 0 || b.results.length === 21, { what: 'the rest' })
  }
})

it('refuses a live request over a full engine once its deadline cannot be kept, and says when to retry', async () => {
  const answers: (() => void)[] = []
  const engine = await fake((_, res) => answers.push(() => res.end(completion())))
  const { b, clock } = await benchByHand({ FOREBAY_ENGINE_IN_FLIGHT: '1' })
  const later = async (done: () => boolean) => {
    await clock.advance(20)
    return done()
  }
  await b.worker(engine.url)
  for (let i = 0; i < 4; i++) {
    await b.ask({ messages }, { requestId: `req_known_${i}` })
    await eventually(() => later(() => answers.length === 1), { what: 'the engine call' })
    await clock.advance(1_000)
    answers.shift()?.()
    await eventually(() => later(() => b.results.length === i + 1), { what: 'an answer to learn from' })
  }
  b.frames.length = 0
  const deadlineMs = clock.now() + 2_500
  for (let i = 0; i < 16; i++) await b.ask({ messages }, { requestId: `req_${i}`, deadlineMs })
  const refused = () => b.frames.filter((frame) => frame.type === 'error')
  // The engine has answered none of them: what is refused is refused for what is known already.
  await eventually(() => later(() => refused().length > 0 && engine.seen.length === 5), { what: 'the refusals' })
  expect(clock.now()).toBeLessThan(deadlineMs - 1_500)
  expect(refused()[0]).toMatchObject({ status: 503, code: 'overloaded' })
  expect(refused()).toContainEqual(expect.objectContaining({ retryAfterMs: 1_000 }))
  while (b.results.length < 20) {
    answers.shift()?.()
    await eventually(() => later(() => answers.length > 0 || b.results.length === 20), { what: 'the rest' })
  }
  const outcomes = b.results.slice(4).map(({ outcome }) => outcome)
  expect(new Set(outcomes)).toEqual(new Set(['succeeded', 'failed']))
})

it('announces itself, its engine and its models, and that it drains', async () => {
  const sim = await startEngineSim({ profile: 'instant' })
  cleanups.push(() => sim.stop())
  const b = await bench()
  const heard: { healthy: boolean; draining: boolean; engine: string; models: { id: string }[] }[] = []
  await b.bus.onAnnounce((announcement) => heard.push(announcement))
  const worker = await b.worker(sim.url)
  await eventually(() => heard.at(-1)?.healthy, { what: 'a healthy announcement' })
  expect(heard.at(-1)).toMatchObject({ engine: 'engine-sim', models: [{ id: 'forebay-sim' }], draining: false })
  sim.crash()
  await eventually(() => heard.at(-1)?.healthy === false, { what: 'an unhealthy announcement' })
  await worker.stop()
  expect(heard.at(-1)?.draining).toBe(true)
})
