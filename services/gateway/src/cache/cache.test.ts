import { queueName, type RequestResult, resultEventSchema } from '@forebay/contracts'
import { silentLogger } from '@forebay/kernel'
import { JobReceiver, makeJsonCodec } from '@forebay/queue-core'
import { eventually } from '@forebay/test-support'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'
import { answerJson, chatAnswer, chunkEvent, startScriptedWorker, usageEvent } from '../testing/scripted-worker.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness.stop())

const ask = { model: 'm', temperature: 0, messages: [{ role: 'user' as const, content: 'hi' }] }
const answering = () =>
  startScriptedWorker(harness, { models: ['m'], onJob: (_, send) => answerJson(send, chatAnswer) })

async function chat(key: string, body: object = ask, headers: Record<string, string> = {}) {
  const answer = await harness.call('POST', '/v1/chat/completions', key, body, headers)
  return { ...answer, cache: answer.headers.get('x-forebay-cache') }
}

/** What results would get: every result on the pool's results queue, once `count` are there. */
async function reported(count: number): Promise<RequestResult[]> {
  const receiver = new JobReceiver({
    driver: harness.queues.queue(queueName('default', 'results')),
    codec: makeJsonCodec(resultEventSchema),
    ...{ clock: harness.clock, logger: silentLogger, leaseMs: 30_000, maxAttempts: 10 },
  })
  const results: RequestResult[] = []
  while (results.length < count) {
    for (const leased of await receiver.receive({ max: 10, waitMs: 10_000 })) {
      results.push(...leased.job.results)
      await receiver.settle(leased, { kind: 'done' })
    }
  }
  await receiver.stop()
  return results
}

describe('the exact cache', () => {
  it('answers an equal deterministic request byte for byte, and reports it to audit and ledger', async () => {
    const worker = await answering()
    const key = await harness.newKey('cache-hit')
    const first = await chat(key)
    const second = await chat(key, { ...ask, user: 'someone' })
    expect([first.cache, second.cache, worker.jobs.length]).toEqual(['miss', 'hit', 1])
    expect([second.status, second.text]).toEqual([200, first.text])
    expect(second.headers.get('x-forebay-source-request-id')).toBe(first.headers.get('x-request-id'))
    expect(await reported(1)).toEqual([
      expect.objectContaining({
        requestId: second.headers.get('x-request-id'),
        ...{ tenantId: 'cache-hit', source: 'exact_cache', outcome: 'succeeded', pool: 'default', gpuMs: 0 },
        usage: { promptTokens: 3, cachedTokens: null, completionTokens: 2, reasoningTokens: 0 },
      }),
    ])
  })

  it('computes a hundred equal requests at the same time once', async () => {
    const worker = await answering()
    const key = await harness.newKey('cache-flight')
    const answers = await Promise.all(Array.from({ length: 100 }, () => chat(key)))
    expect([worker.jobs.length, new Set(answers.map(({ text }) => text)).size]).toEqual([1, 1])
    expect(answers.filter(({ cache }) => cache === 'hit')).toHaveLength(99)
    const results = await reported(99)
    expect(new Set(results.map(({ requestId }) => requestId)).size).toBe(99)
  })

  it('serves a streamed answer unstreamed and the other way round', async () => {
    const worker = await startScriptedWorker(harness, {
      models: ['m'],
      onJob: async (_, send) => {
        await send({ type: 'accepted', workerId: 'w1' })
        await send({ type: 'head', status: 200, contentType: 'text/event-stream' })
        const done = chunkEvent('there').replace('"finish_reason":null', '"finish_reason":"stop"')
        await send({ type: 'data', text: `${chunkEvent('Hello ')}${done}${usageEvent}data: [DONE]\n\n` })
        await send({ type: 'end', usage: null })
      },
    })
    const client = await harness.sdk('cache-stream')
    const streamed = async () => {
      const stream = await client.chat.completions.create({
        ...ask,
        stream: true,
        stream_options: { include_usage: true },
      })
      let text = ''
      let usage: unknown
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? ''
        usage ??= chunk.usage ?? undefined
      }
      return { text, usage }
    }
    const expected = { text: 'Hello there', usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } }
    expect(await streamed()).toEqual(expected)
    expect(await streamed()).toEqual(expected)
    const whole = await client.chat.completions.create(ask)
    expect([whole.choices[0]?.message.content, whole.choices[0]?.finish_reason]).toEqual(['Hello there', 'stop'])
    expect(worker.jobs).toHaveLength(1)
  })

  it('tells what a request and a hit of it cost where the client asks, and leaves every other body as it was', async () => {
    const worker = await startScriptedWorker(harness, {
      models: ['priced'],
      onJob: async (job, send) => {
        if (!job.stream) return answerJson(send, chatAnswer)
        await send({ type: 'accepted', workerId: 'w1' })
        await send({ type: 'head', status: 200, contentType: 'text/event-stream' })
        await send({ type: 'data', text: `${chunkEvent('Hello')}${usageEvent}data: [DONE]\n\n` })
        await send({ type: 'end', usage: null })
      },
    })
    const key = await harness.newKey('cache-cost')
    const wish = { 'x-forebay-include-cost': 'true' }
    const priced = { ...ask, model: 'priced' }
    const usage = chatAnswer.usage
    const unpriced = await chat(key, { ...priced, seed: 1 }, wish)
    expect(unpriced.json['usage']).toEqual({ ...usage, cost: null, cost_nano: null, cost_currency: null })
    const admin = await harness.newKey('cache-admin', 'admin')
    for (const [usageType, nano] of Object.entries({ input: 1e9, cached_input: 1e8, output: 2e9 })) {
      const price = { tenant: 'cache-cost', model: 'priced', usage_type: usageType, nano_per_million: nano }
      expect((await harness.call('POST', '/admin/prices', admin, price)).status).toBe(200)
    }
    // A price flushes too, but this says when.
    await harness.call('POST', '/admin/cache/flush', admin, { tenant: 'cache-cost' })
    const full = { cost: 7000e-9, cost_nano: 7000, cost_currency: 'USD' }
    const hit = { cost: 300e-9, cost_nano: 300, cost_currency: 'USD' }

    const computed = await chat(key, priced, wish)
    expect([computed.cache, computed.json]).toEqual(['miss', { ...chatAnswer, usage: { ...usage, ...full } }])
    const served = await chat(key, priced, wish)
    expect([served.cache, served.json]).toEqual(['hit', { ...chatAnswer, usage: { ...usage, ...hit } }])
    const plain = await chat(key, priced)
    expect([plain.cache, plain.text]).toEqual(['hit', JSON.stringify(chatAnswer)])

    const shown = { ...priced, temperature: 1, stream: true, stream_options: { include_usage: true } }
    const streamed = await chat(key, shown, wish)
    const [content, counted, done] = streamed.text.split('\n\n')
    expect([`${content}\n\n`, done]).toEqual([chunkEvent('Hello'), 'data: [DONE]'])
    expect(JSON.parse(counted?.slice(5) ?? '').usage).toEqual({ ...usage, ...full })
    const replayed = await chat(key, { ...shown, temperature: 0 }, wish)
    expect([replayed.cache, replayed.text]).toEqual(['hit', expect.stringContaining('"cost_nano":300,')])
    const unasked = await chat(key, { ...shown, stream_options: null }, wish)
    expect(unasked.text).toBe(`${chunkEvent('Hello')}data: [DONE]\n\n`)
    expect(worker.jobs).toHaveLength(4)
  })

  it('is left out where the client says so, where the answer is not determined, and between tenants', async () => {
    const worker = await answering()
    const [key, other] = [await harness.newKey('cache-out'), await harness.newKey('cache-other')]
    await chat(key)
    const seen = [
      (await chat(key, ask, { 'x-forebay-cache': 'bypass' })).cache,
      (await chat(key, ask, { 'cache-control': 'no-cache' })).cache,
      (await chat(key, { ...ask, temperature: 1 })).cache,
      (await chat(other)).cache,
    ]
    expect([seen, worker.jobs.length]).toEqual([['bypass', 'bypass', 'bypass', 'miss'], 5])
  })

  it('keeps nothing that failed, was filtered or broke off', async () => {
    const filtered = { ...chatAnswer, choices: [{ ...chatAnswer.choices[0], finish_reason: 'content_filter' }] }
    const bad = [
      [{ error: { message: 'no' } }, 400],
      [filtered, 200],
      [{ ...chatAnswer, choices: [] }, 200],
    ] as const
    let turn = 0
    await startScriptedWorker(harness, {
      models: ['m'],
      onJob: (_, send) => {
        const [body, status] = bad[turn++ % bad.length] ?? bad[0]
        return answerJson(send, body, status)
      },
    })
    const key = await harness.newKey('cache-bad')
    for (let i = 0; i < 4; i++) expect((await chat(key)).cache).toBe('miss')
  })

  it('serves nothing more of what was flushed, or of before a price changed', async () => {
    const worker = await answering()
    const key = await harness.newKey('cache-flush')
    const admin = await harness.newKey('cache-admin', 'admin')
    const cached = async () => {
      await chat(key)
      return (await chat(key)).cache
    }
    expect(await cached()).toBe('hit')
    for (const scope of [{ tenant: 'cache-flush' }, { model: 'm' }, {}]) {
      const flushed = await harness.call('POST', '/admin/cache/flush', admin, scope)
      expect([flushed.status, flushed.json['object']]).toEqual([200, 'cache.flush'])
      expect((await chat(key)).cache).toBe('miss')
    }
    const missing = await harness.call('POST', '/admin/cache/flush', admin, { tenant: 'nobody' })
    expect([missing.status, missing.json.error?.param]).toEqual([404, 'tenant'])
    const price = { tenant: 'cache-flush', model: '*', usage_type: 'input', nano_per_million: 5 }
    expect((await harness.call('POST', '/admin/prices', admin, price)).status).toBe(200)
    await eventually(async () => (await chat(key)).cache === 'miss', { what: 'the price to be noticed' })
    expect(worker.jobs.length).toBe(5)
  })

  it('is off for a tenant that does not want it', async () => {
    await answering()
    const key = await harness.newKey('cache-off')
    const admin = await harness.newKey('cache-admin', 'admin')
    const path = '/admin/tenants/cache-off/cache'
    expect((await harness.call('GET', path, admin)).json).toMatchObject({ exact: true })
    expect((await harness.call('POST', path, admin, { exact: false })).json).toMatchObject({ exact: false })
    expect([(await chat(key)).cache, (await chat(key)).cache]).toEqual(['bypass', 'bypass'])
    expect((await harness.call('POST', path, admin, {})).json).toMatchObject({ exact: false })
  })
})
