import { eventually } from '@forebay/test-support'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Harness, modelOf, startHarness } from './harness.ts'

/* Real-time requests with the official SDK, through gateway, queue, worker and engine-sim. */
describe('a live request', () => {
  let harness: Harness
  let model: string
  beforeAll(async () => {
    harness = await startHarness({ simArgs: ['--profile', 'laptop'] })
    model = await modelOf(harness.openai)
  })
  afterAll(() => harness.stop())

  it('streams tokens as they come and ends with what was asked for', async () => {
    const stream = await harness.openai.chat.completions.create({
      model,
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 20,
      messages: [{ role: 'user', content: 'Tell me of rivers' }],
    })
    let text = ''
    let pieces = 0
    let usage: unknown
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ''
      pieces++
      usage = chunk.usage ?? usage
    }
    expect(text.length).toBeGreaterThan(10)
    expect(pieces).toBeGreaterThan(5)
    expect(usage).toMatchObject({ prompt_tokens: expect.any(Number), completion_tokens: expect.any(Number) })
  })

  it('does not show a usage chunk to a client that did not ask, and is charged all the same', async () => {
    const { data, response } = await harness.openai.chat.completions
      .create({ model, stream: true, max_tokens: 5, messages: [{ role: 'user', content: 'Hello' }] })
      .withResponse()
    for await (const chunk of data) expect(chunk.choices.length).toBe(1)
    const requestId = response.headers.get('x-request-id')
    const row = await eventually(
      async () => (await harness.sql('SELECT * FROM ledger WHERE request_id = $1', [requestId]))[0],
      { what: 'the ledger entry' },
    )
    expect(Number(row?.['completion_tokens'])).toBeGreaterThan(0)
  })

  it('answers whole, with usage and the limits’ headers', async () => {
    const { data, response } = await harness.openai.chat.completions
      .create({ model, max_tokens: 8, messages: [{ role: 'user', content: 'Hello' }] })
      .withResponse()
    expect(data.choices[0]?.message.content).toBeTruthy()
    expect(data.usage?.total_tokens).toBeGreaterThan(0)
    for (const header of ['x-ratelimit-limit-requests', 'x-ratelimit-remaining-tokens', 'x-ratelimit-reset-requests'])
      expect(response.headers.get(header), header).toBeTruthy()
  })

  it('completes and embeds', async () => {
    const completion = await harness.openai.completions.create({ model, prompt: 'Once upon', max_tokens: 8 })
    expect(completion.choices[0]?.text).toBeTruthy()
    const embedding = await harness.openai.embeddings.create({ model, input: ['one', 'two'] })
    expect(embedding.data).toHaveLength(2)
    expect(embedding.data[0]?.embedding.length).toBeGreaterThan(8)
  })

  it('frees the engine when the client leaves', async () => {
    const abort = new AbortController()
    const stream = await harness.openai.chat.completions.create(
      {
        model,
        stream: true,
        max_tokens: 2000,
        messages: [{ role: 'user', content: 'A very long story. '.repeat(50) }],
      },
      { signal: abort.signal },
    )
    for await (const _ of stream) break
    abort.abort()
    await eventually(
      async () =>
        /vllm:num_requests_running\S* 0\b/.test(await (await fetch(`${harness.standalone.engine.url}/metrics`)).text()),
      { timeoutMs: 3000, what: 'the seat to be free' },
    )
  })

  it('names an unknown model, a bad key and a malformed body in OpenAI’s shape', async () => {
    const { openai, standalone } = harness
    await expect(
      openai.chat.completions.create({ model: 'nope', messages: [{ role: 'user', content: 'x' }] }),
    ).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
    await expect(openai.withOptions({ apiKey: 'fb-wrong' }).models.list()).rejects.toMatchObject({
      status: 401,
      code: 'invalid_api_key',
    })
    const bad = await fetch(`${standalone.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${standalone.apiKey}`, 'content-type': 'application/json' },
      body: '{"model":',
    })
    expect(bad.status).toBe(400)
    expect(await bad.json()).toMatchObject({ error: { type: 'invalid_request_error', message: expect.any(String) } })
  })

  it('is first in line: it answers while a long batch runs', async () => {
    const { openai } = harness
    const { chatLine, uploadLines, untilBatch } = await import('./harness.ts')
    const lines = Array.from({ length: 800 }, (_, i) =>
      chatLine(model, `b-${i}`, `batch work ${i} `.repeat(40), { max_tokens: 100 }),
    )
    const batch = await openai.batches.create({
      input_file_id: await uploadLines(openai, lines),
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    })
    await untilBatch(openai, batch.id, (now) => (now.request_counts?.completed ?? 0) > 10)
    for (let i = 0; i < 5; i++) {
      const answer = await openai.chat.completions.create({
        model,
        max_tokens: 4,
        messages: [{ role: 'user', content: `live ${i}` }],
      })
      expect(answer.choices).toHaveLength(1)
    }
    const still = await openai.batches.retrieve(batch.id)
    expect(still.status).toBe('in_progress')
    await openai.batches.cancel(batch.id)
    await untilBatch(openai, batch.id)
  })

  it('is not needed to read the reference, the document and the metrics', async () => {
    const { url } = harness.standalone
    for (const path of ['/healthz', '/readyz', '/metrics', '/openapi.json', '/docs']) {
      const response = await fetch(url + path)
      expect(response.status, path).toBe(200)
    }
  })
})
