import type { ReplyFrame } from '@forebay/contracts'
import { eventually } from '@forebay/test-support'
import { afterEach, expect, it } from 'vitest'
import { type Bench, completion, makeBench, startFakeEngine } from '../testing/bench.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
async function setUp(answer: Parameters<typeof startFakeEngine>[0], env: Record<string, string> = {}, tuning = {}) {
  const engine = await startFakeEngine(answer)
  const b = await makeBench(env)
  cleanups.push(engine.stop, b.stop)
  await b.worker(engine.url, tuning)
  return { b, engine }
}
const has = (b: Bench, type: ReplyFrame['type']) => b.frames.some((frame) => frame.type === type)
const textOf = (b: Bench) => b.frames.map((frame) => (frame.type === 'data' ? frame.text : '')).join('')
const messages = [{ role: 'user', content: 'hello' }]

it('sends tools, logprobs, n, response formats and fields it never heard of on byte for byte, and their answers back', async () => {
  const body = `{"model":"m", "messages":[{"role":"user","content":"caf\\u00e9 é"}],"n":2,"logprobs":true,"top_logprobs":3,
    "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],
    "response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"const":1.0}}},"seed":12345678901234567890,
    "stream_options":{"include_usage":true,"odd":1e2},"never_heard_of":[null,{}]}`
  const answer =
    '{"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\\"a\\": 1.0}"}}]},"logprobs":{"content":[{"token":"x","logprob":-0.10,"bytes":[120],"top_logprobs":[]}]},"finish_reason":"tool_calls"}], "odd": 1.0}'
  const { b, engine } = await setUp((_, res) => res.setHeader('content-type', 'application/json').end(answer))
  await b.ask({}, { body })
  await eventually(() => has(b, 'end'), { what: 'the reply' })
  expect(engine.seen.map((seen) => seen.body)).toEqual([body])
  expect(textOf(b)).toBe(answer)
})

it('relays a stream with tool calls and fields it never heard of byte for byte', async () => {
  const stream =
    'data: {"choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"a"}}]},"logprobs":null}],"odd": 1.0}\n\n' +
    ': a comment\n\nevent: x\ndata: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"odd":{}}}\n\ndata: [DONE]\n\n'
  const { b } = await setUp((_, res) => res.writeHead(200, { 'content-type': 'text/event-stream' }).end(stream))
  await b.ask({ messages, stream: true })
  await eventually(() => has(b, 'end'), { what: 'the end' })
  expect(textOf(b)).toBe(stream)
})

it('answers 503 with Retry-After, and does not hang, when no seat came free by the deadline', async () => {
  const { b, engine } = await setUp(() => {}, { FOREBAY_ENGINE_IN_FLIGHT: '1', FOREBAY_DRAIN_MS: '0' })
  await b.ask({ messages }, { requestId: 'req_a' })
  await eventually(() => engine.seen.length === 1, { what: 'the only seat to be taken' })
  await b.ask({ messages }, { requestId: 'req_b', deadlineMs: Date.now() + 300 })
  await eventually(() => has(b, 'error'), { what: 'the refusal' })
  const error = b.frames.find((frame) => frame.type === 'error')
  expect(error).toMatchObject({ requestId: 'req_b', status: 503, code: 'overloaded', retryAfterMs: 1_000 })
  expect(engine.seen).toHaveLength(1)
})

it('passes a 429 of the engine on with its Retry-After when that is later than the deadline', async () => {
  const { b, engine } = await setUp((_, res) => res.writeHead(429, { 'retry-after': '90' }).end('{"error":{}}'))
  await b.ask({ messages })
  await eventually(() => has(b, 'end'), { what: 'the reply' })
  expect(b.frames.find((frame) => frame.type === 'head')).toMatchObject({ status: 429, retryAfterMs: 90_000 })
  expect(engine.seen).toHaveLength(1)
})

it('serves those who wait by their deadline', async () => {
  const answers: (() => void)[] = []
  const { b, engine } = await setUp((_, res) => answers.push(() => res.end(completion())), {
    FOREBAY_ENGINE_IN_FLIGHT: '1',
  })
  await b.ask({ messages, name: 'first' }, { requestId: 'req_0' })
  await eventually(() => answers.length === 1, { what: 'the first' })
  for (const [i, seconds] of [50, 20, 35].entries()) {
    await b.ask(
      { messages, name: `in ${seconds}` },
      { requestId: `req_${i + 1}`, deadlineMs: Date.now() + seconds * 1000 },
    )
  }
  await eventually(() => b.frames.filter(({ type }) => type === 'accepted').length === 4, { what: 'all to be here' })
  for (let i = 0; i < 4; i++) {
    await eventually(() => answers.length === i + 1, { what: `request ${i}` })
    answers[i]?.()
  }
  await eventually(() => b.results.length === 4, { what: 'all results' })
  expect(engine.seen.map(({ body }) => JSON.parse(body).name)).toEqual(['first', 'in 20', 'in 35', 'in 50'])
})

it('cuts a stream that stops half-way and stays open, and tells the client', async () => {
  const { b, engine } = await setUp(
    (_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
    },
    {},
    { idleMs: 200 },
  )
  await b.ask({ messages, stream: true })
  await eventually(() => has(b, 'error'), { what: 'the error' })
  expect(b.frames.at(-1)).toMatchObject({ type: 'error', status: 504, code: 'engine_error' })
  await eventually(() => engine.seen[0]?.aborted, { what: 'the engine to be told' })
})
