import { ManualClock, silentLogger } from '@forebay/kernel'
import { expect, it } from 'vitest'
import type { EngineProfile } from '../engine/detect-engine.ts'
import type { EngineCall, StreamSink } from '../engine/engine-client.ts'
import { type Answer, errorAnswer, type Failure, judge } from '../engine/outcome.ts'
import { enginePriority } from './engine-priority.ts'
import { HintingClient } from './hinting-client.ts'

type End = Answer | Failure
const ok = judge({ status: 200, contentType: 'application/json', retryAfterMs: undefined, body: Buffer.from('{}') })
const refusal = (message: string, status = 400) => errorAnswer(status, null, message)

/** A client over an engine that answers what `answer` says of each body, which `seen` keeps. */
function setUp(options: {
  kind?: EngineProfile['kind'] | undefined
  answer?: (body: Record<string, unknown>, count: number) => End
  secret?: string
}) {
  const { answer = () => ok, secret = 'a secret of sixteen' } = options
  const clock = new ManualClock()
  const seen: string[] = []
  const warnings: unknown[] = []
  const send = async (call: EngineCall) => {
    seen.push(call.body.toString())
    return answer(JSON.parse(call.body.toString()), seen.length)
  }
  const client = new HintingClient({
    client: { call: send, stream: async (call) => await send(call) },
    clock,
    logger: { ...silentLogger, warn: (fields: unknown) => warnings.push(fields) },
    kind: () => ('kind' in options ? options.kind : 'vllm'),
    secret,
  })
  const call = (extra: Partial<EngineCall> = {}): EngineCall => ({
    requestId: 'r',
    path: '/v1/chat/completions',
    body: Buffer.from('{"model":"m"}'),
    lane: 'batch',
    tenantId: 'acme',
    deadlineMs: clock.now() + 3_600_000,
    model: 'forebay-sim',
    limitMs: 1_000,
    outputTokens: 16,
    signal: new AbortController().signal,
    ...extra,
  })
  const last = (): Record<string, unknown> => JSON.parse(seen.at(-1) ?? '')
  return { client, call, seen, last, warnings }
}

it('tells vLLM the urgency and a salt by tenant, which is stable and cannot be told without the secret', async () => {
  const { call, client, last, seen } = setUp({})
  await client.call(call())
  expect(seen[0]).toMatch(/^{"model":"m","priority":\d+,"cache_salt":"[\w-]{43}"}$/)
  const acme = last()
  expect(acme['priority']).toBe(enginePriority({ lane: 'batch', slackMs: 3_600_000 }))
  await client.call(call({ lane: 'realtime' }))
  expect(last()['priority']).toBeLessThan(Number(acme['priority']))
  expect(last()['cache_salt']).toBe(acme['cache_salt'])
  await client.call(call({ tenantId: 'other' }))
  expect(last()['cache_salt']).not.toBe(acme['cache_salt'])
  const elsewhere = setUp({ secret: 'another secret of more' })
  await elsewhere.client.call(elsewhere.call())
  expect(elsewhere.last()['cache_salt']).not.toBe(acme['cache_salt'])
})

it.each<EngineProfile['kind'] | undefined>(['sglang', 'tgi', 'llamacpp', 'ollama', 'openai', undefined])(
  'leaves bodies for %s as they are',
  async (kind) => {
    const { call, client, seen } = setUp({ kind })
    await client.call(call())
    expect(seen).toEqual(['{"model":"m"}'])
  },
)

it('leaves embeddings as they are', async () => {
  const { call, client, seen } = setUp({})
  await client.call(call({ path: '/v1/embeddings' }))
  expect(seen).toEqual(['{"model":"m"}'])
})

it('repeats without a hint that the engine refuses, gives it no more, says so once, and tries a new engine anew', async () => {
  const { call, client, seen, last, warnings } = setUp({
    answer: (body) => ('priority' in body ? refusal('Got priority 76 but Priority scheduling is not enabled.') : ok),
  })
  const sink: StreamSink = { onHead: () => {}, onBytes: () => true }
  expect(await client.stream(call(), sink)).toBe(ok)
  expect(await client.call(call())).toBe(ok)
  expect(seen.map((body) => Object.keys(JSON.parse(body)).join())).toEqual([
    'model,priority,cache_salt',
    'model,cache_salt',
    'model,cache_salt',
  ])
  expect(warnings).toEqual([{ hints: ['priority'] }])
  client.forget()
  await client.call(call({ body: Buffer.from('{"priority":0,"x":1}') }))
  expect(last()).toMatchObject({ priority: 0, x: 1 })
  await client.call(call())
  expect(warnings).toHaveLength(2)
})

it('drops both hints for an engine that knows neither, whether it names them at once or in turn', async () => {
  const strict = (body: Record<string, unknown>, all: boolean) => {
    const extra = ['priority', 'cache_salt'].filter((name) => name in body).slice(0, all ? 2 : 1)
    return extra.length > 0 ? refusal(`Extra inputs are not permitted: ${extra}`, 422) : ok
  }
  for (const [all, calls] of [
    [true, 2],
    [false, 3],
  ] as const) {
    const { call, client, seen, last } = setUp({ answer: (body) => strict(body, all) })
    expect(await client.call(call())).toBe(ok)
    expect(seen).toHaveLength(calls)
    await client.call(call())
    expect(last()).toEqual({ model: 'm' })
    expect(seen).toHaveLength(calls + 1)
  }
})

it.each([
  ['the request itself is at fault', refusal('messages: required; got {"priority":76}')],
  ['the engine fails at the repetition', { kind: 'failure', reason: 'lost', status: 502, message: 'x' } as const],
])('blames no hint when %s', async (_, second) => {
  const first = refusal('bad request {"priority":76,"cache_salt":"x"}')
  const { call, client, seen, warnings } = setUp({ answer: (_, count) => (count === 1 ? first : second) })
  expect(await client.call(call())).toBe(second)
  await client.call(call())
  expect(JSON.parse(seen[2] ?? '')).toHaveProperty('priority')
  expect(warnings).toEqual([])
})

it('asks once when a refusal is not about a hint', async () => {
  const answer = refusal('The model does not exist.')
  const { call, client, seen } = setUp({ answer: () => answer })
  expect(await client.call(call())).toBe(answer)
  expect(seen).toHaveLength(1)
})
