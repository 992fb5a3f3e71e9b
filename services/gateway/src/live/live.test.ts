import { eventually } from '@forebay/test-support'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'
import { answerJson, chatAnswer, chunkEvent, startScriptedWorker, usageEvent } from '../testing/scripted-worker.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness.stop())

const messages = [{ role: 'user' as const, content: 'hi' }]
const sse = { type: 'head', status: 200, contentType: 'text/event-stream' } as const
const end = { type: 'end', usage: null } as const

describe('a real-time request', () => {
  it('reaches the engine byte for byte and its answer comes back whole', async () => {
    const worker = await startScriptedWorker(harness, {
      models: ['m'],
      onJob: (_, send) => answerJson(send, chatAnswer),
    })
    const key = await harness.newKey('live')
    const body =
      '{ "model":"m", "messages":[{"role":"user","content":"\\u0068i"}],\n"seed": 12345678901234567890, "x":1e2 }'
    const answer = await harness.call('POST', '/v1/chat/completions', key, body)
    expect([answer.status, answer.json]).toEqual([200, chatAnswer])
    expect(worker.jobs[0]).toMatchObject({ body, tenantId: 'live', lane: 'realtime', pool: 'default', stream: false })
    expect(answer.headers.get('x-request-id')).toBe(worker.jobs[0]?.requestId)
    expect(Number(answer.headers.get('openai-processing-ms'))).toBeGreaterThanOrEqual(0)
    expect(answer.headers.get('x-ratelimit-limit-requests')).toBe('6000')
    expect(answer.headers.get('x-ratelimit-remaining-requests')).toBe('5999')
    expect(answer.headers.get('x-ratelimit-reset-tokens')).toMatch(/s$/)
  })

  it('of each endpoint works by the SDK; flex tier waits in the standard lane', async () => {
    const embedding = { object: 'list', data: [{ object: 'embedding', index: 0, embedding: [0.5] }], model: 'e' }
    const worker = await startScriptedWorker(harness, {
      models: ['m'],
      onJob: (job, send) => answerJson(send, job.endpoint === '/v1/embeddings' ? embedding : chatAnswer),
    })
    const client = await harness.sdk('live-sdk')
    const chat = await client.chat.completions.create({ model: 'm', messages, service_tier: 'flex' })
    expect(chat.choices[0]?.message.content).toBe('Hello')
    await client.completions.create({ model: 'm', prompt: 'x' })
    const vector = await client.embeddings.create({ model: 'm', input: 'x', encoding_format: 'float' })
    expect(vector.data[0]?.embedding).toEqual([0.5])
    expect(worker.jobs.map((job) => job.lane)).toEqual(['standard', 'realtime', 'realtime'])
  })

  it('that the engine refuses gets the engine’s own answer', async () => {
    const refusal = { error: { message: 'too long', type: 'BadRequestError', param: null, code: 400 } }
    await startScriptedWorker(harness, { models: ['m'], onJob: (_, send) => answerJson(send, refusal, 400) })
    const client = await harness.sdk('live-400')
    const refused = client.chat.completions.create({ model: 'm', messages, stream: true })
    await expect(refused).rejects.toMatchObject({ status: 400, error: refusal.error })
  })

  it('that fails before its first byte is answered with the worker’s status', async () => {
    await startScriptedWorker(harness, {
      models: ['m'],
      onJob: async (_, send) => {
        await send({ type: 'accepted', workerId: 'w1' })
        await send({
          type: 'error',
          status: 503,
          code: 'overloaded',
          message: 'The engine is full.',
          retryAfterMs: 1500,
        })
      },
    })
    const key = await harness.newKey('live-503')
    const answer = await harness.call('POST', '/v1/chat/completions', key, { model: 'm', messages })
    expect([answer.status, answer.json.error?.message]).toEqual([503, 'The engine is full.'])
    expect(answer.headers.get('retry-after')).toBe('2')
    expect(answer.headers.get('retry-after-ms')).toBe('1500')
  })
})

describe('a stream', () => {
  it('comes event by event in order as the worker sends it, cut where it may, without the usage nobody asked for', async () => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const worker = await startScriptedWorker(harness, {
      models: ['m'],
      onJob: async (_, send) => {
        await send({ type: 'accepted', workerId: 'w1' })
        await send(sse)
        await send({ type: 'data', text: chunkEvent('0') })
        await held
        const rest = Array.from({ length: 50 }, (__, i) => chunkEvent(String(i + 1))).join('')
        const text = `${rest}${usageEvent}data: [DONE]\n\n`
        for (let at = 0; at < text.length; at += 7) await send({ type: 'data', text: text.slice(at, at + 7) })
        await send(end)
      },
    })
    const client = await harness.sdk('stream')
    const stream = await client.chat.completions.create({ model: 'm', messages, stream: true })
    const seen: string[] = []
    let usages = 0
    for await (const chunk of stream) {
      seen.push(chunk.choices[0]?.delta.content ?? 'none')
      if (chunk.usage) usages++
      // The first chunk arrives while the rest is still held back.
      if (seen.length === 1) release()
    }
    expect(seen).toEqual(Array.from({ length: 51 }, (_, i) => String(i)))
    expect(usages).toBe(0)
    expect(JSON.parse(worker.jobs[0]?.body ?? '').stream_options).toEqual({ include_usage: true })
  })

  it('shows its usage to the client that asked for it', async () => {
    const worker = await startScriptedWorker(harness, {
      models: ['m'],
      onJob: async (_, send) => {
        await send({ type: 'accepted', workerId: 'w1' })
        await send(sse)
        await send({ type: 'data', text: `${chunkEvent('a')}${usageEvent}data: [DONE]\n\n` })
        await send(end)
      },
    })
    const key = await harness.newKey('stream-usage')
    const body = { model: 'm', messages, stream: true, stream_options: { include_usage: true } }
    const answer = await harness.call('POST', '/v1/chat/completions', key, body)
    expect(answer.text).toBe(`${chunkEvent('a')}${usageEvent}data: [DONE]\n\n`)
    expect(answer.headers.get('content-type')).toMatch(/^text\/event-stream/)
    expect(answer.headers.get('x-request-id')).toBe(worker.jobs[0]?.requestId)
    expect(worker.jobs[0]?.body).toBe(JSON.stringify(body))
  })

  it('that its client leaves is cancelled within 100 ms', async () => {
    const worker = await startScriptedWorker(harness, {
      models: ['m'],
      onJob: async (_, send) => {
        await send({ type: 'accepted', workerId: 'w1' })
        await send(sse)
        await send({ type: 'data', text: chunkEvent('a') })
      },
    })
    const client = await harness.sdk('stream-leave')
    const stream = await client.chat.completions.create({ model: 'm', messages, stream: true })
    for await (const _ of stream) break
    const leftMs = performance.now()
    await eventually(() => worker.controls.length > 0, { what: 'the cancel', timeoutMs: 1_000 })
    expect(performance.now() - leftMs).toBeLessThan(100)
    expect(worker.controls[0]).toEqual({
      type: 'cancel-request',
      requestId: worker.jobs[0]?.requestId,
      attempt: 1,
      reason: 'left',
    })
  })

  it('that breaks after its first byte ends with an error event', async () => {
    await startScriptedWorker(harness, {
      models: ['m'],
      onJob: async (_, send) => {
        await send({ type: 'accepted', workerId: 'w1' })
        await send(sse)
        await send({ type: 'data', text: chunkEvent('a') })
        await send({ type: 'data', text: 'data: {"half' })
        await send({ type: 'data', text: 'lost', seq: 9 })
      },
    })
    const client = await harness.sdk('stream-break')
    const seen: unknown[] = []
    const reading = (async () => {
      const stream = await client.chat.completions.create({ model: 'm', messages, stream: true })
      for await (const chunk of stream) seen.push(chunk)
    })()
    await expect(reading).rejects.toMatchObject({ error: { code: 'engine_error', type: 'server_error' } })
    expect(seen).toHaveLength(1)
  })
})

describe('a lost attempt', () => {
  it('is followed by another before the first byte, when a frame is missing', async () => {
    const worker = await startScriptedWorker(harness, {
      models: ['m'],
      onJob: async (job, send) => {
        if (job.attempt < 3) {
          await send({ type: 'accepted', workerId: 'w1' })
          await send({ type: 'head', status: 200, contentType: 'application/json' })
          await send({ type: 'data', text: 'half' })
          await send({ type: 'data', text: 'gap', seq: 7 })
        } else await answerJson(send, chatAnswer)
      },
    })
    const client = await harness.sdk('lost-gap')
    const chat = await client.chat.completions.create({ model: 'm', messages })
    expect(chat.choices[0]?.message.content).toBe('Hello')
    expect(worker.jobs.map((job) => job.attempt)).toEqual([1, 2, 3])
    expect(worker.controls.map((control) => 'attempt' in control && control.attempt)).toEqual([1, 2])
  })

  it('that sends on is told to stop', async () => {
    const worker = await startScriptedWorker(harness, {
      models: ['m'],
      onJob: (_, send) => answerJson(send, chatAnswer),
    })
    const client = await harness.sdk('lost-late')
    await client.chat.completions.create({ model: 'm', messages })
    const job = worker.jobs[0]
    if (!job) throw new Error('no job')
    const late = { requestId: job.requestId, attempt: 1, seq: 0 }
    await harness.bus.send(job.replyTo, { ...late, type: 'end', usage: null })
    await harness.bus.send(job.replyTo, { ...late, type: 'accepted', workerId: 'w2' })
    await harness.bus.send(job.replyTo, { ...late, type: 'alive', seq: 1 })
    expect(worker.controls).toEqual([
      { type: 'cancel-request', requestId: job.requestId, attempt: 1, reason: 'superseded' },
    ])
  })
})

describe('a wrong real-time request', () => {
  it.each([
    ['no model', { messages }, 400, 'missing_required_parameter', 'model'],
    ['no messages', { model: 'm' }, 400, 'missing_required_parameter', 'messages'],
    ['messages that are no array', { model: 'm', messages: 'x' }, 400, 'invalid_type', 'messages'],
    ['a stream that is no boolean', { model: 'm', messages, stream: 'yes' }, 400, 'invalid_type', 'stream'],
    ['an unknown model', { model: 'nope', messages }, 404, 'model_not_found', 'model'],
    ['JSON that is none', '{"model":', 400, 'invalid_json', null],
    ['no body', '', 400, 'invalid_json', null],
    ['an array', '[]', 400, 'invalid_request', null],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), 400, 'invalid_json', null],
    [
      'half a surrogate pair',
      '{"model":"m","messages":[{"content":"\\ud800"}]}',
      400,
      'invalid_value',
      'messages[0].content',
    ],
    [
      'nesting without end',
      `{"model":"m","messages":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
      400,
      'invalid_request',
      null,
    ],
  ])('with %s is refused in OpenAI’s shape', async (_, body, status, code, param) => {
    await startScriptedWorker(harness, { models: ['m'], onJob: (__, send) => answerJson(send, chatAnswer) })
    const answer = await harness.call('POST', '/v1/chat/completions', await harness.newKey('wrong'), body)
    expect(answer.status).toBe(status)
    expect(answer.json.error).toEqual({ message: expect.any(String), type: 'invalid_request_error', param, code })
  })

  it('names the model as OpenAI does', async () => {
    const client = await harness.sdk('wrong-model')
    const refused = client.chat.completions.create({ model: 'nope', messages })
    await expect(refused).rejects.toThrow('The model `nope` does not exist or you do not have access to it.')
    await expect(refused).rejects.toBeInstanceOf(OpenAI.NotFoundError)
  })
})

describe('models', () => {
  it('come from the table and from what workers announce, also with slashes in their names', async () => {
    await harness.db.query("INSERT INTO models (pool, model, engine) VALUES ('p2', 'org/big model', 'vllm')")
    await startScriptedWorker(harness, { models: ['small'], onJob: () => {} })
    const client = await harness.sdk('models')
    await eventually(async () => (await client.models.list()).data.some(({ id }) => id === 'org/big model'), {
      what: 'the table to be read again',
    })
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(
      expect.arrayContaining(['org/big model', 'small']),
    )
    expect(await client.models.retrieve('org/big model')).toMatchObject({ object: 'model', owned_by: 'vllm' })
    expect((await harness.call('GET', '/v1/models/org/big%20model', client.apiKey)).status).toBe(200)
    await expect(client.models.retrieve('none')).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
  })
})
