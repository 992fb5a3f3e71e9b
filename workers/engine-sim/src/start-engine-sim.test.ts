import { profiles } from '@forebay/engine-model'
import { eventually } from '@forebay/test-support'
import { afterEach, describe, expect, it } from 'vitest'
import type { EngineSimOptions } from './server/settings.ts'
import { type EngineSim, startEngineSim } from './start-engine-sim.ts'

let sims: EngineSim[] = []

afterEach(async () => {
  await Promise.all(sims.map((sim) => sim.stop()))
  sims = []
})

async function start(options: EngineSimOptions = {}): Promise<EngineSim> {
  const sim = await startEngineSim({ profile: 'instant', ...options })
  sims.push(sim)
  return sim
}

function post(sim: EngineSim, path: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  return fetch(sim.url + path, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
  })
}

const say = (content: string) => [{ role: 'user', content }]
/** The body as whatever it is: a test reads what it expects and fails when that is not there. */
const bodyOf = async (res: Response | Promise<Response>) => JSON.parse(await (await res).text())

const chat = (sim: EngineSim, body: object, init: RequestInit = {}) =>
  post(sim, '/v1/chat/completions', { messages: say('Tell me of the river.'), ...body }, init)

/** The data lines of a stream, parsed, and whether `[DONE]` ended it. */
function parseStream(text: string) {
  const data = text.split('\n\n').filter(Boolean)
  expect(data.every((line) => line.startsWith('data: '))).toBe(true)
  const done = data.at(-1) === 'data: [DONE]'
  return { done, chunks: data.slice(0, done ? -1 : undefined).map((line) => JSON.parse(line.slice(6))) }
}

async function metric(sim: EngineSim, name: string, labels = ''): Promise<number> {
  const text = await (await fetch(`${sim.url}/metrics`)).text()
  const line = text.split('\n').find((each) => each.startsWith(`vllm:${name}{`) && each.includes(labels))
  return Number(line?.split(' ').at(-1))
}

/** One seat, slow enough that a test can act while it generates. */
const slow = { profile: { ...profiles.laptop, limits: { ...profiles.laptop.limits, maxNumSeqs: 1 } } } as const

describe('chat completions', () => {
  it('gives the same answer for the same prompt and seed, and says that a simulator made it', async () => {
    const [one, two] = [await start(), await start({ profile: 'laptop', speed: 1000 })]
    const first = await chat(one, { seed: 3, max_tokens: 30 }, { headers: { 'x-request-id': 'abc' } })
    const body = await bodyOf(first)
    expect(first.headers.get('x-engine-sim')).toBe('1')
    expect(first.headers.get('server')).toBe('engine-sim')
    expect(body).toMatchObject({
      id: 'chatcmpl-abc',
      object: 'chat.completion',
      model: 'forebay-sim',
      system_fingerprint: 'engine-sim',
      choices: [{ index: 0, finish_reason: 'length' }],
      usage: { completion_tokens: 30, prompt_tokens_details: { cached_tokens: 0 } },
    })
    const text = body.choices[0].message.content
    expect(text.split(' ')).toHaveLength(30)
    expect((await bodyOf(chat(two, { seed: 3, max_tokens: 30 }))).choices[0].message.content).toBe(text)
    expect((await bodyOf(chat(two, { seed: 4, max_tokens: 30 }))).choices[0].message.content).not.toBe(text)
  })

  it.each(['instant', 'laptop'] as const)(
    'streams one chunk per token, the same text and usage, on %s',
    async (profile) => {
      const sim = await start({ profile, speed: 1000 })
      const whole = await bodyOf(chat(sim, { max_tokens: 12 }))
      const stream_options = { include_usage: true, continuous_usage_stats: true }
      const res = await chat(sim, { max_tokens: 12, stream: true, stream_options })
      expect(res.headers.get('content-type')).toMatch('text/event-stream')
      const { chunks, done } = parseStream(await res.text())
      expect(done).toBe(true)
      expect(chunks).toHaveLength(1 + 12 + 1)
      expect(chunks[0].choices[0].delta).toEqual({ role: 'assistant', content: '' })
      expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(
        whole.choices[0].message.content,
      )
      expect(chunks[12].choices[0].finish_reason).toBe('length')
      expect(chunks[6].usage.completion_tokens).toBeGreaterThan(0)
      expect(chunks[13]).toMatchObject({ choices: [], usage: { completion_tokens: 12 } })
    },
  )

  it('gives n different choices and counts the prompt once', async () => {
    const { choices, usage } = await bodyOf(chat(await start(), { n: 3, max_tokens: 8 }))
    expect(new Set(choices.map((c: { message: { content: string } }) => c.message.content)).size).toBe(3)
    expect(usage.completion_tokens).toBe(24)
    expect(usage.prompt_tokens).toBeLessThan(20)
  })

  it('calls a required tool with arguments that fit, whole and streamed', async () => {
    const sim = await start()
    const parameters = { type: 'object', properties: { city: { type: 'string' } } }
    const body = { tools: [{ type: 'function', function: { name: 'weather', parameters } }], tool_choice: 'required' }
    const [choice] = (await bodyOf(chat(sim, body))).choices
    expect(choice).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } })
    const [call] = choice.message.tool_calls
    expect(call.function.name).toBe('weather')
    expect(JSON.parse(call.function.arguments)).toEqual({ city: expect.any(String) })
    const { chunks } = parseStream(await (await chat(sim, { ...body, stream: true })).text())
    const deltas = chunks.map(({ choices }) => choices[0].delta.tool_calls[0].function)
    expect(deltas[0].name).toBe('weather')
    expect(deltas.map((delta) => delta.arguments).join('')).toBe(call.function.arguments)
  })

  it('answers response_format with JSON', async () => {
    const sim = await start()
    const schema = { type: 'object', properties: { ok: { type: 'boolean' } } }
    const formats = [{ type: 'json_object' }, { type: 'json_schema', json_schema: { name: 'x', schema } }]
    const bodies = await Promise.all(formats.map(async (response_format) => bodyOf(chat(sim, { response_format }))))
    const [object, fitted] = bodies.map(({ choices }) => JSON.parse(choices[0].message.content))
    expect(object).toBeTypeOf('object')
    expect(fitted).toEqual({ ok: expect.any(Boolean) })
  })

  it('reports cached prompt tokens, apart by salt, and not at all when told so', async () => {
    const sim = await start({ profile: 'laptop', speed: 1000 })
    const messages = say('A long shared beginning. '.repeat(20))
    const ask = async (extra: object) => (await bodyOf(chat(sim, { messages, max_tokens: 2, ...extra }))).usage
    expect((await ask({})).prompt_tokens_details.cached_tokens).toBe(0)
    const { prompt_tokens: prompt, prompt_tokens_details: details } = await ask({})
    expect(details.cached_tokens).toBe(Math.floor((prompt - 1) / 16) * 16)
    expect((await ask({ cache_salt: 'tenant' })).prompt_tokens_details.cached_tokens).toBe(0)
    expect(await metric(sim, 'prefix_cache_hits_total')).toBe(details.cached_tokens)
    const quiet = await start({ promptTokensDetails: false })
    expect((await bodyOf(chat(quiet, {}))).usage).not.toHaveProperty('prompt_tokens_details')
  })
})

describe('completions, embeddings and the rest', () => {
  it('answers a list of prompts one choice each, with usage summed', async () => {
    const sim = await start()
    const { choices, usage } = await bodyOf(post(sim, '/v1/completions', { prompt: ['one two', 'three'], n: 2 }))
    expect(choices.map(({ index }: { index: number }) => index)).toEqual([0, 1, 2, 3])
    expect(usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 64 })
    const tokens = await bodyOf(post(sim, '/v1/completions', { prompt: [[1, 2, 3], [4]], max_tokens: 2, logprobs: 1 }))
    expect(tokens.usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 4 })
    expect(tokens.choices[0].logprobs.token_logprobs).toHaveLength(2)
  })

  it('embeds strings and tokens as unit vectors, the same in both encodings', async () => {
    const sim = await start()
    const input = ['a river', 'a road', 'a river']
    const ask = async (extra: object) => (await bodyOf(post(sim, '/v1/embeddings', { input, ...extra }))).data
    const [river, road, again] = (await ask({})).map(({ embedding }: { embedding: number[] }) => embedding)
    expect(river).toHaveLength(64)
    expect(Math.hypot(...river)).toBeCloseTo(1, 5)
    expect(again).toEqual(river)
    expect(road).not.toEqual(river)
    const [packed] = await ask({ encoding_format: 'base64' })
    const bytes = Buffer.from(packed.embedding, 'base64')
    expect(river).toEqual(Array.from({ length: 64 }, (_, i) => bytes.readFloatLE(i * 4)))
    expect(
      (await ask({ dimensions: 8, input: [[1, 2], [3]] })).map((d: { embedding: number[] }) => d.embedding.length),
    ).toEqual([8, 8])
  })

  it('lists models, counts tokens, tells its version, load and health', async () => {
    const sim = await start({ models: ['a', 'b'], maxModelLen: 512 })
    const get = async (path: string) => bodyOf(fetch(sim.url + path))
    expect((await get('/v1/models')).data).toMatchObject([
      { id: 'a', max_model_len: 512 },
      { id: 'b', max_model_len: 512 },
    ])
    expect(await bodyOf(post(sim, '/tokenize', { model: 'a', prompt: 'abcdefgh' }))).toMatchObject({ count: 2 })
    expect(await get('/version')).toEqual({ version: 'engine-sim' })
    expect(await get('/load')).toEqual({ server_load: 0 })
    expect((await fetch(`${sim.url}/health`)).status).toBe(200)
  })

  it('publishes metrics under the names and labels of vLLM', async () => {
    const sim = await start({ profile: 'laptop', speed: 1000, models: ['m'] })
    await bodyOf(chat(sim, { max_tokens: 10 }))
    expect(await metric(sim, 'generation_tokens_total')).toBe(10)
    expect(await metric(sim, 'request_success_total', 'finished_reason="length"')).toBe(1)
    expect(await metric(sim, 'cache_config_info', 'num_gpu_blocks="4096"')).toBe(1)
    expect(await metric(sim, 'inter_token_latency_seconds_count')).toBe(9)
    expect(await metric(sim, 'time_to_first_token_seconds_bucket', 'le="+Inf"')).toBe(1)
    expect(await metric(sim, 'num_requests_running', 'model_name="m",engine="0"')).toBe(0)
  })
})

describe('errors', () => {
  it('refuses as vLLM does', async () => {
    const sim = await start({ maxModelLen: 100, apiKey: 'k' })
    const headers = { authorization: 'Bearer k' }
    const refused = async (body: object | string, path = '/v1/chat/completions') => {
      const res = await post(sim, path, body, { headers })
      return { status: res.status, error: (await bodyOf(res)).error }
    }
    expect(await refused({ messages: say('hi'), max_tokens: 200 })).toMatchObject({
      status: 400,
      error: {
        type: 'BadRequestError',
        code: 400,
        param: 'input_tokens',
        message: expect.stringMatching(
          /^This model's maximum context length is 100 tokens\. However, you requested 200/,
        ),
      },
    })
    expect(await refused({ messages: say('long '.repeat(200)) })).toMatchObject({ status: 400 })
    expect(await refused({ model: 'other', messages: say('hi') })).toMatchObject({
      status: 404,
      error: { type: 'NotFoundError', param: 'model' },
    })
    expect(await refused('{"messages": [')).toMatchObject({ status: 400 })
    expect(await refused({ messages: 'hi' })).toMatchObject({ status: 400, error: { param: 'messages' } })
    expect(await refused({}, '/v1/nowhere')).toMatchObject({ status: 404 })
    const anonymous = await chat(sim, {})
    expect([anonymous.status, await bodyOf(anonymous)]).toEqual([401, { error: 'Unauthorized' }])
  })

  it('answers 503 past max-num-queued-reqs', async () => {
    const sim = await start({ ...slow, maxNumQueuedReqs: 2 })
    const leave = new AbortController()
    const held = chat(sim, { n: 2, max_tokens: 5000, ignore_eos: true }, { signal: leave.signal }).catch(() => {})
    await eventually(() => sim.running + sim.waiting === 2, { what: 'two requests in the engine' })
    expect((await chat(sim, {})).status).toBe(503)
    leave.abort()
    await held
  })
})

describe('seats', () => {
  it.each([true, false])('are freed when the client leaves (stream: %s)', async (stream) => {
    const sim = await start(slow)
    const leave = new AbortController()
    const held = chat(sim, { stream, max_tokens: 5000, ignore_eos: true }, { signal: leave.signal })
      .then((res) => res.text())
      .catch(() => 'left')
    await eventually(() => sim.running === 1, { what: 'the request to run' })
    leave.abort()
    expect(await held).toBe('left')
    await eventually(() => sim.running === 0, { what: 'the seat to be free' })
    expect(sim.log.toJSON()).toMatchObject({ finished: 0, aborted: 1 })
    expect((await chat(sim, { max_tokens: 2 })).status).toBe(200)
  })

  it('go to the lower priority number first', async () => {
    const sim = await start({ ...slow, schedulingPolicy: 'priority' })
    const order: string[] = []
    const ask = async (name: string, body: object) => {
      await bodyOf(chat(sim, body))
      order.push(name)
    }
    const first = ask('first', { max_tokens: 40, ignore_eos: true })
    await eventually(() => sim.running === 1, { what: 'the first to run' })
    const batch = ask('batch', { max_tokens: 3, priority: 10 })
    await eventually(() => sim.waiting === 1, { what: 'the batch request to wait' })
    const live = ask('live', { max_tokens: 3, priority: 0 })
    await Promise.all([first, batch, live])
    expect(order).toEqual(['first', 'live', 'batch'])
  })

  it('stop ends what runs as abort, inside a 200', async () => {
    const sim = await start(slow)
    const whole = chat(sim, { max_tokens: 5000, ignore_eos: true }).then((res) => bodyOf(res))
    await eventually(() => sim.running === 1, { what: 'the request to run' })
    await sim.stop()
    expect((await whole).choices[0].finish_reason).toBe('abort')
  })
})

it('answers on the fixed profile after its latency, all at once', async () => {
  const sim = await start({ profile: 'fixed', fixedMs: 60 })
  const began = performance.now()
  await Promise.all(Array.from({ length: 20 }, async () => bodyOf(chat(sim, {}))))
  const tookMs = performance.now() - began
  expect(tookMs).toBeGreaterThan(55)
  expect(tookMs).toBeLessThan(20 * 60)
})

it('keeps its own log, by request id when asked to', async () => {
  const sim = await start({ record: true })
  for (const id of ['a', 'a', 'b']) {
    await bodyOf(chat(sim, { max_tokens: 5 }, { headers: { 'x-request-id': id } }))
  }
  const log = await bodyOf(fetch(`${sim.url}/sim/log`))
  expect(log).toMatchObject({ received: 3, finished: 3, aborted: 0, generatedTokens: 15 })
  expect(log.requests).toMatchObject({ a: { finished: 2, generatedTokens: 10 }, b: { finished: 1 } })
})
