import { blobKeys } from '@forebay/contracts'
import { type EngineSim, type EngineSimOptions, startEngineSim } from '@forebay/engine-sim'
import { eventually, freePort } from '@forebay/test-support'
import { afterEach, expect, it } from 'vitest'
import { type Bench, completion, idOfLine, line, makeBench, startFakeEngine } from './testing/bench.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
async function engine(options: EngineSimOptions = {}): Promise<EngineSim> {
  const sim = await startEngineSim({ profile: 'instant', ...options })
  cleanups.push(() => sim.stop())
  return sim
}
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
const returned = (b: Bench) => b.notes.filter((note) => note.state === 'returned')

it('gives exactly one result per line, each with its own output line, then settles the job', async () => {
  const sim = await engine()
  const b = await bench()
  await b.worker(sim.url)
  await b.release(Array.from({ length: 500 }, (_, i) => line(`c${i}`, `question ${i}`)))
  await eventually(() => b.results.length === 500, { what: 'all results' })
  await b.settled('default.batch')
  expect(new Set(b.results.map((r) => r.requestId)).size).toBe(500)
  for (const result of b.results) {
    const output = JSON.parse(result.text ?? '')
    expect(output.custom_id).toBe(`c${(result.line ?? 0) - 1}`)
    expect(output.id).toBe(idOfLine(result.line ?? 0))
    expect(output.response.status_code).toBe(200)
    expect(output.response.body.usage.completion_tokens).toBe(result.usage.completionTokens)
    expect(result.outcome).toBe('succeeded')
  }
  expect(b.notes.some((note) => note.state === 'held')).toBe(true)
  expect(returned(b)).toEqual([])
})

it('sends each body byte for byte and keeps the answer byte for byte', async () => {
  const answer =
    '{"choices":[],  "big":12345678901234567890, "t":"\\u00e9 é \u2028","usage":{"prompt_tokens":7,"completion_tokens":1}}'
  const engineFake = await fake((_, res) => res.setHeader('content-type', 'application/json').end(answer))
  const b = await bench()
  await b.worker(engineFake.url)
  const bodies = ['{"model":"m",  "n":1.0,"seed":12345678901234567890}', '{"messages":"\\u00fc ü \u2028 }{"}', '{ }']
  await b.release(bodies.map((body, i) => `{"custom_id":"c${i}","body": ${body} ,"method":"POST"}`))
  await eventually(() => b.results.length === 3, { what: 'all results' })
  expect(engineFake.seen.map((seen) => seen.body).sort()).toEqual([...bodies].sort())
  expect(engineFake.seen.map((seen) => seen.requestId).sort()).toEqual([1, 2, 3].map((n) => idOfLine(n)))
  for (const result of b.results) expect(result.text).toContain(`"body":${answer}}`)
  expect(b.results[0]?.usage).toMatchObject({ promptTokens: 7, completionTokens: 1, cachedTokens: null })
})

it('tells the engine the model that an alias stands for, every other byte as it came', async () => {
  const engineFake = await fake((_, res) => res.setHeader('content-type', 'application/json').end('{"choices":[]}'))
  const b = await bench()
  await b.worker(engineFake.url)
  const body = (model: string) => `{"x":{"model":"chat"}, "model" : "${model}", "seed":12345678901234567890}`
  await b.release([`{"custom_id":"c","body":${body('chat')}}`], { model: 'm', alias: 'chat' })
  await eventually(() => b.results.length === 1, { what: 'the result' })
  expect(engineFake.seen.map((seen) => seen.body)).toEqual([body('m')])
  expect(b.results[0]).toMatchObject({ model: 'm', outcome: 'succeeded' })
})

it('tries retryable failures again, makes the last one the result, and leaves the neighbours alone', async () => {
  const engineFake = await fake((seen, res, count) => {
    const kind = /kind-(\w+)/.exec(seen.body)?.[1]
    res.setHeader('content-type', 'application/json')
    if (kind === 'poison')
      return res.writeHead(500).end('{"error":{"message":"boom","type":"server_error","code":"kaputt"}}')
    if (kind === 'gateway') return res.writeHead(502).end('<html>bad gateway</html>')
    if (kind === 'invalid')
      return res
        .writeHead(400)
        .end('{"error":{"message":"no","type":"invalid_request_error","param":null,"code":"context_length_exceeded"}}')
    if (count === 1 && kind === 'busy') return res.writeHead(429, { 'retry-after': '0' }).end('{}')
    if (count === 1 && kind === 'cut') return res.end('{"choices":[')
    if (count === 1 && kind === 'reset') return res.destroy()
    if (count === 1 && kind === 'abort')
      return res.end('{"choices":[{"finish_reason":"abort"}],"usage":{"prompt_tokens":1}}')
    return res.end(completion())
  })
  const b = await bench()
  await b.worker(engineFake.url)
  const kinds = ['fine', 'poison', 'gateway', 'invalid', 'busy', 'cut', 'reset', 'abort', 'fine']
  await b.release(kinds.map((kind, i) => line(`${i}`, `kind-${kind}`)))
  await eventually(() => b.results.length === kinds.length, { what: 'all results' })
  await b.settled('default.batch')
  const of = (n: number) => b.results.find((r) => r.line === n + 1)
  const tries = (n: number) => engineFake.seen.filter((seen) => seen.requestId === idOfLine(n + 1)).length
  expect(kinds.map((_, n) => tries(n))).toEqual([1, 3, 3, 1, 2, 2, 2, 2, 1])
  expect(kinds.map((_, n) => of(n)?.statusCode)).toEqual([200, 500, 502, 400, 200, 200, 200, 200, 200])
  expect(of(1)).toMatchObject({ outcome: 'failed', errorCode: 'kaputt' })
  expect(JSON.parse(of(1)?.text ?? '').response.body.error.message).toBe('boom')
  expect(of(2)).toMatchObject({ outcome: 'failed', errorCode: 'engine_error' })
  expect(JSON.parse(of(2)?.text ?? '').response.body.error.type).toBe('server_error')
  expect(of(3)).toMatchObject({ outcome: 'failed', errorCode: 'context_length_exceeded' })
  expect(b.results).toHaveLength(kinds.length)
})

it('cuts a request that hangs, and fails only that one', async () => {
  const sim = await engine()
  const b = await bench({ FOREBAY_REQUEST_ATTEMPTS: '1' })
  await b.worker(sim.url, { answerFloorMs: 300 })
  await b.release([line('a', 'this one teaches how long an answer takes')], { chunk: 0, batchId: 'batch_0' })
  await eventually(() => b.results.length === 1, { what: 'the first result' })
  await b.release([line('a', 'fine'), line('b', '[[sim:hang]]'), line('c', 'fine')])
  await eventually(() => b.results.length === 4, { what: 'all results' })
  const ofBatch = b.results.filter((r) => r.batchId === 'batch_1').sort((x, y) => (x.line ?? 0) - (y.line ?? 0))
  expect(ofBatch.map((r) => r.statusCode)).toEqual([200, 504, 200])
  expect(ofBatch[1]).toMatchObject({ outcome: 'failed', errorCode: 'engine_timeout' })
})

it('cuts a request that the engine does not work on long before its time limit, and runs it again', async () => {
  const sim = await engine({ profile: 'laptop' })
  const b = await bench()
  await b.worker(sim.url, { lostMs: 1_000 })
  // Long enough for the engine to be seen at work on it.
  await b.release([line('warm', '[[sim:tokens=600]]', { max_tokens: 600 })], { batchId: 'batch_0' })
  await eventually(() => b.results.length === 1, { what: 'the first result' })
  await b.release([line('a', '[[sim:hang*1]] once')])
  await eventually(() => b.results.length === 2, { what: 'the answer of the second attempt' })
  expect(b.results[1]).toMatchObject({ outcome: 'succeeded', statusCode: 200 })
})

it('notices an engine that answers /health but makes no token, and goes on when a canary gets through', async () => {
  const sim = await engine({ profile: 'laptop', speed: 20 })
  const b = await bench()
  const worker = await b.worker(sim.url, { stallMs: 600 })
  await b.release([line('warm', 'up')], { batchId: 'batch_0' })
  await eventually(() => b.results.length === 1, { what: 'the first result' })
  sim.setWedged(true)
  await b.release(Array.from({ length: 5 }, (_, i) => line(`${i}`, `q ${i}`)))
  await eventually(() => worker.trouble()?.includes('wedged'), { what: 'the wedge to be noticed' })
  sim.setWedged(false)
  await eventually(() => b.results.length === 6, { what: 'all results' })
  expect(b.results.every((r) => r.outcome === 'succeeded')).toBe(true)
}, 30_000)

it('isolates a request that kills the engine: it alone fails, every neighbour succeeds', async () => {
  const port = await freePort()
  let sim = await startEngineSim({ profile: 'fixed', fixedMs: 20, port, onCrash: () => void revive() })
  const revive = async () => {
    await eventually(() => worker.trouble() !== undefined, { what: 'the crash to be noticed' })
    sim = await startEngineSim({ profile: 'fixed', fixedMs: 20, port, onCrash: () => void revive() })
  }
  cleanups.push(() => sim.stop())
  const b = await bench({ FOREBAY_ENGINE_IN_FLIGHT: '16' })
  const worker = await b.worker(sim.url)
  await b.release(Array.from({ length: 40 }, (_, i) => line(`${i}`, i === 7 ? '[[sim:crash]]' : `fine ${i}`)))
  await eventually(() => b.results.length === 40, { what: 'all results', timeoutMs: 18_000 })
  expect(b.results.filter((r) => r.outcome === 'failed').map((r) => r.line)).toEqual([8])
  expect(returned(b)).toEqual([])
})

it('hands the rest of a chunk back when the engine stays down, and takes no new one until it is up', async () => {
  const sim = await engine({ profile: 'fixed', fixedMs: 50 })
  const b = await bench({ FOREBAY_ENGINE_IN_FLIGHT: '4' })
  const worker = await b.worker(sim.url, { downGraceMs: 300 })
  await b.release(Array.from({ length: 60 }, (_, i) => line(`${i}`, `q ${i}`)))
  await eventually(() => b.results.length >= 4, { what: 'the first results' })
  sim.crash()
  await eventually(() => returned(b).length === 1, { what: 'the chunk to be handed back' })
  await b.settled('default.batch')
  const finished = b.results.length
  expect(finished).toBeLessThan(60)
  expect(b.results.every((r) => r.outcome === 'succeeded')).toBe(true)
  expect(worker.trouble()).toContain('unreachable')
  await b.release([line('x', 'later')], { chunk: 1 })
  expect((await b.queues.queue('default.batch').depth()).visible).toBe(1)
  const again = await engine({ port: sim.port })
  expect(again.port).toBe(sim.port)
  await eventually(() => b.results.length === finished + 1, { what: 'the later chunk' })
})

it('hands back a chunk that the broker delivers again, without running any of it', async () => {
  const engineFake = await fake((_, res) => res.end(completion()))
  const b = await bench()
  await b.release([line('a', 'x')])
  const queue = b.queues.queue('default.batch')
  const [lease] = await queue.receive({ max: 1, waitMs: 0, leaseMs: 60_000 })
  if (lease) await queue.nack(lease, { delayMs: 0 })
  await b.worker(engineFake.url)
  await eventually(() => returned(b).length === 1, { what: 'the note' })
  await b.settled('default.batch')
  expect(engineFake.seen).toEqual([])
  expect(returned(b)).toEqual([{ batchId: 'batch_1', chunk: 0, attempt: 1, state: 'returned' }])
})

it('runs nothing of a chunk that is too late or whose batch is cancelled', async () => {
  const engineFake = await fake((_, res) => res.end(completion()))
  const b = await bench()
  await b.blobs.put(blobKeys.cancelled('acme', 'batch_2'), Buffer.from('1'))
  await b.release([line('a', 'x')], { deadlineMs: Date.now() - 1 })
  await b.release([line('a', 'x')], { batchId: 'batch_2' })
  await b.worker(engineFake.url)
  await eventually(() => returned(b).length === 2, { what: 'the notes' })
  expect(engineFake.seen).toEqual([])
})

it('starts nothing more of a batch that is cancelled, and lets what runs finish', async () => {
  const answers: (() => void)[] = []
  const engineFake = await fake((_, res) => answers.push(() => res.end(completion())))
  const b = await bench({ FOREBAY_ENGINE_IN_FLIGHT: '4', FOREBAY_REALTIME_SEATS: '0' })
  await b.worker(engineFake.url)
  await b.release(Array.from({ length: 10 }, (_, i) => line(`${i}`, `q ${i}`)))
  await eventually(() => answers.length === 4, { what: 'four requests at the engine' })
  await b.bus.control({ type: 'cancel-batch', batchId: 'batch_1' })
  for (const answer of answers) answer()
  await eventually(() => returned(b).length === 1, { what: 'the note' })
  await b.settled('default.batch')
  // Their event may be read after that of the note.
  await eventually(() => b.results.length === 4, { what: 'the four results' })
  expect(engineFake.seen).toHaveLength(4)
})

it('drains: what runs finishes, the rest is handed back, and the job is settled', async () => {
  const answers: (() => void)[] = []
  const engineFake = await fake((_, res) => answers.push(() => res.end(completion())))
  const b = await bench({ FOREBAY_ENGINE_IN_FLIGHT: '4', FOREBAY_REALTIME_SEATS: '0' })
  const worker = await b.worker(engineFake.url)
  await b.release(Array.from({ length: 10 }, (_, i) => line(`${i}`, `q ${i}`)))
  await eventually(() => answers.length === 4, { what: 'four requests at the engine' })
  const stopped = worker.stop()
  for (const answer of answers) answer()
  await stopped
  await eventually(() => returned(b).length === 1, { what: 'the note' })
  await b.settled('default.batch')
  expect(b.results).toHaveLength(4)
})

it('cuts what does not finish within the drain time, and hands it back', async () => {
  const engineFake = await fake(() => {})
  const b = await bench({ FOREBAY_DRAIN_MS: '100' })
  const worker = await b.worker(engineFake.url)
  await b.release([line('a', 'x')])
  await eventually(() => engineFake.seen.length === 1, { what: 'the request at the engine' })
  await worker.stop()
  await eventually(() => returned(b).length === 1 && engineFake.seen[0]?.aborted, { what: 'the request cut' })
  await b.settled('default.batch')
  expect(b.results).toEqual([])
})

it('loses nothing while blobs and the results queue are down', async () => {
  const sim = await engine()
  const b = await bench()
  const results = b.queues.queue('default.results')
  const { put } = b.blobs
  const send = results.send.bind(results)
  let failures = 6
  const flaky = async () => {
    if (failures-- > 0) throw new Error('down')
  }
  b.blobs.put = async (key, source) => {
    if (key.includes('/parts/')) await flaky()
    return put(key, source)
  }
  results.send = async (items) => {
    await flaky()
    return send(items)
  }
  await b.worker(sim.url)
  await b.release(Array.from({ length: 100 }, (_, i) => line(`${i}`, `q ${i}`)))
  await eventually(() => b.results.length === 100, { what: 'all results' })
  await b.settled('default.batch')
  expect(new Set(b.results.map((r) => r.line)).size).toBe(100)
})
