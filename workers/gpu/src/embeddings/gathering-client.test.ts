import { startEngineSim } from '@forebay/engine-sim'
import { ManualClock, makeRegistry, systemClock } from '@forebay/kernel'
import { eventually } from '@forebay/test-support'
import fc from 'fast-check'
import { afterEach, expect, it } from 'vitest'
import { type EngineCall, openEngineClient } from '../engine/engine-client.ts'
import type { Answer, Failure } from '../engine/outcome.ts'
import { makeWorkerMetrics } from '../metrics.ts'
import { makeBench, startFakeEngine } from '../testing/bench.ts'
import { GatheringClient } from './gathering-client.ts'
import { shareOut } from './split-answer.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function clientOf(url: string, fields: { inputsMax?: number; clock?: ManualClock } = {}) {
  const client = openEngineClient({ url, connections: 64, idleMs: 5_000, clock: systemClock })
  const gathering = new GatheringClient({
    client,
    limits: { inputsMax: fields.inputsMax ?? 32, tokensMax: 8_192, waitMs: 50 },
    clock: fields.clock ?? new ManualClock(),
    metrics: makeWorkerMetrics(makeRegistry()),
  })
  cleanups.push(
    () => client.stop(),
    () => gathering.stop(),
  )
  return gathering
}
const ask = (
  gathering: GatheringClient,
  body: object | string,
  fields: Partial<EngineCall> = {},
): Promise<Answer | Failure> =>
  gathering.call({
    requestId: 'r',
    path: '/v1/embeddings',
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify({ model: 'forebay-sim', ...body })),
    lane: 'batch',
    tenantId: 'acme',
    deadlineMs: 60_000,
    model: 'forebay-sim',
    limitMs: 5_000,
    outputTokens: 16,
    signal: new AbortController().signal,
    ...fields,
  })
const read = (outcome: Answer | Failure | undefined) => {
  if (outcome?.kind !== 'answer') throw new Error(`no answer: ${JSON.stringify(outcome)}`)
  return { ...outcome, json: JSON.parse(outcome.body.toString()) }
}

/** Answers an embeddings call: for each input its first letter's code; 10 prompt tokens an input. */
function answerEmbeddings(body: string): string {
  const input = JSON.parse(body).input
  const inputs: string[] = Array.isArray(input) ? input : [input]
  const data = inputs.map((text, index) => ({ object: 'embedding', index, embedding: [text.charCodeAt(0)] }))
  return JSON.stringify({ object: 'list', model: 'm', data, usage: { prompt_tokens: 10 * data.length } })
}

it('answers each request of a shared call as the engine answers it alone, and shares the prompt tokens out', async () => {
  const sim = await startEngineSim({ profile: 'instant' })
  cleanups.push(() => sim.stop())
  const gathering = clientOf(sim.url)
  const bodies = [
    { input: 'river' },
    { input: ['weir', 'turbine and a longer text beside it'], user: 'ann' },
    { input: 'river', dimensions: 8 },
    { input: 'sluice', encoding_format: 'base64' },
    { input: [[1, 2, 3], [4]] },
    { input: 'last' },
  ]
  const together = await Promise.all(bodies.map((body) => ask(gathering, body)))
  const alone: ReturnType<typeof read>[] = []
  for (const body of bodies) alone.push(read(await ask(clientOf(sim.url), body)))
  for (const [i, outcome] of together.entries()) {
    const { json, usage } = read(outcome)
    expect(json.data).toEqual(alone[i]?.json.data)
    expect(json.model).toBe('forebay-sim')
    expect(json.usage).toMatchObject({ prompt_tokens: usage.promptTokens, total_tokens: usage.promptTokens })
  }
  const sum = (all: ReturnType<typeof read>[]) => all.reduce((total, { usage }) => total + usage.promptTokens, 0)
  expect(sum(together.map(read))).toBe(sum(alone))
})

it('makes one call of requests that come together, in lanes apart, and sends one alone byte for byte', async () => {
  const engine = await startFakeEngine((seen, res) => res.end(answerEmbeddings(seen.body)))
  cleanups.push(engine.stop)
  const gathering = clientOf(engine.url)
  const odd = '{"model":"m" ,"input":"alone","user":"ann"}'
  await ask(gathering, odd)
  expect(engine.seen.map(({ body }) => body)).toEqual([odd])
  const lanes = ['batch', 'standard', 'batch', 'realtime'] as const
  const clock = new ManualClock()
  const other = clientOf(engine.url, { clock })
  const answers = Promise.all(lanes.map((lane, i) => ask(other, { input: `${i}` }, { lane })))
  await eventually(
    async () => {
      await clock.advance(50)
      return engine.seen.length === 3
    },
    { what: 'both calls' },
  )
  const codes = (await answers).map((answer) => read(answer).json.data[0].embedding[0])
  expect(codes).toEqual(lanes.map((_, i) => `${i}`.charCodeAt(0)))
  expect(engine.seen.slice(1).map(({ body }) => JSON.parse(body).input)).toEqual([['0', '1', '2'], '3'])
})

it('fails only the bad input when a shared call is refused, times out or breaks', async () => {
  const engine = await startFakeEngine((seen, res) => {
    if (seen.body.includes('too long')) return res.writeHead(400).end('{"error":{"message":"too long","code":"x"}}')
    if (seen.body.includes('explode')) return res.writeHead(500).end('{}')
    if (seen.body.includes('hang')) return
    if (seen.body.includes('cut')) return res.end('{"data":[')
    res.end(answerEmbeddings(seen.body))
  })
  cleanups.push(engine.stop)
  for (const [bad, status] of [
    ['too long', 400],
    ['explode', 500],
    ['hang', 504],
    ['cut', 502],
  ] as const) {
    const inputs = ['a', bad, 'c', 'd']
    const gathering = clientOf(engine.url)
    const outcomes = await Promise.all(inputs.map((input) => ask(gathering, { input }, { limitMs: 300 })))
    expect(outcomes.map((outcome) => outcome.status)).toEqual([200, status, 200, 200])
  }
})

it('tells every request of an engine that is overloaded or gone, and asks none of them again by itself', async () => {
  const engine = await startFakeEngine((_, res) => res.writeHead(429, { 'retry-after': '7' }).end('{}'))
  cleanups.push(engine.stop)
  const gathering = clientOf(engine.url)
  const outcomes = await Promise.all(['a', 'b', 'c'].map((input) => ask(gathering, { input })))
  expect(outcomes).toMatchObject([1, 2, 3].map(() => ({ kind: 'failure', status: 429, retryAfterMs: 7_000 })))
  expect(engine.seen).toHaveLength(1)
  const nobody = clientOf('http://127.0.0.1:9')
  const gone = await Promise.all(['a', 'b'].map((input) => ask(nobody, { input })))
  expect(gone).toMatchObject([{ reason: 'down' }, { reason: 'down' }])
})

it('finds out how many inputs an engine takes, also one that answers only the first of them', async () => {
  for (const answerMany of ['refuse', 'first'] as const) {
    const engine = await startFakeEngine((seen, res) => {
      const { input } = JSON.parse(seen.body)
      if (!Array.isArray(input) || input.length <= 2) return res.end(answerEmbeddings(seen.body))
      if (answerMany === 'refuse') return res.writeHead(413).end('{"error":{"message":"too many inputs"}}')
      res.end(answerEmbeddings(JSON.stringify({ input: input[0] })))
    })
    cleanups.push(engine.stop)
    const gathering = clientOf(engine.url)
    const four = async () => {
      const outcomes = await Promise.all(['a', 'b', 'c', 'd'].map((input) => ask(gathering, { input })))
      return outcomes.map((outcome) =>
        read(outcome).json.data.map((item: { embedding: number[] }) => item.embedding[0]),
      )
    }
    const expected = ['a', 'b', 'c', 'd'].map((letter) => [letter.charCodeAt(0)])
    expect(await four()).toEqual(expected)
    expect(engine.seen).toHaveLength(5)
    expect(await four()).toEqual(expected)
    expect(engine.seen).toHaveLength(7)
  }
})

it('cuts a shared call only when all who share it have left, and drops who leaves before it is sent', async () => {
  const engine = await startFakeEngine(() => {})
  cleanups.push(engine.stop)
  const gathering = clientOf(engine.url)
  const leaving = ['a', 'b', 'c'].map(() => new AbortController())
  const outcomes = leaving.map(({ signal }, i) =>
    ask(gathering, { input: `${i}` }, { signal, limitMs: 60_000 }).catch((err: Error) => err.message),
  )
  await eventually(() => engine.seen.length === 1, { what: 'the shared call' })
  const late = new AbortController()
  const waiting = ask(gathering, { input: 'late' }, { signal: late.signal }).catch((err: Error) => err.message)
  late.abort(new Error('left early'))
  expect(await waiting).toBe('left early')
  for (const one of leaving.slice(0, 2)) one.abort(new Error('left'))
  expect(await Promise.all(outcomes.slice(0, 2))).toEqual(['left', 'left'])
  expect(engine.seen[0]?.aborted).toBe(false)
  leaving[2]?.abort(new Error('left'))
  await eventually(() => engine.seen[0]?.aborted, { what: 'the call to be cut' })
  expect(await outcomes[2]).toBe('left')
  expect(engine.seen).toHaveLength(1)
})

it('through a worker: every line of a chunk gets its own embedding and usage, from far fewer calls', async () => {
  const engine = await startFakeEngine((seen, res) => res.end(answerEmbeddings(seen.body)))
  const b = await makeBench({ FOREBAY_ENGINE_IN_FLIGHT: '64' })
  cleanups.push(engine.stop, b.stop)
  await b.worker(engine.url)
  const lines = Array.from({ length: 64 }, (_, i) =>
    JSON.stringify({ custom_id: `c${i}`, body: { model: 'm', input: String.fromCharCode(65 + i) } }),
  )
  await b.release(lines, { endpoint: '/v1/embeddings' })
  await eventually(() => b.results.length === 64, { what: 'all results' })
  for (const { line, text, usage } of b.results) {
    expect(JSON.parse(text ?? '').response.body.data[0].embedding).toEqual([64 + (line ?? 0)])
    expect(usage.promptTokens).toBe(10)
  }
  expect(engine.seen.length).toBeLessThan(32)
})

it('shares tokens out by weight in whole numbers whose sum is exact', () => {
  expect(shareOut(10, [1, 1, 1])).toEqual([4, 3, 3])
  expect(shareOut(7, [0, 0])).toEqual([4, 3])
  fc.assert(
    fc.property(fc.nat(100_000), fc.array(fc.nat(10_000), { minLength: 1, maxLength: 40 }), (total, weights) => {
      const shares = shareOut(total, weights)
      expect(shares.reduce((sum, share) => sum + share, 0)).toBe(total)
      expect(shares.every((share) => share >= 0 && Number.isInteger(share))).toBe(true)
    }),
  )
})
