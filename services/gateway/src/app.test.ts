import { connect } from 'node:net'
import { ManualClock } from '@forebay/kernel'
import { eventually, redisUrl, startRedis } from '@forebay/test-support'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Harness, startHarness } from './testing/harness.ts'
import { answerJson, chatAnswer, chunkEvent, startScriptedWorker } from './testing/scripted-worker.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness.stop())

const chat = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }

async function harnessWith(options: Parameters<typeof startHarness>[0]): Promise<Harness> {
  const own = await startHarness(options)
  onTestFinished(() => own.stop())
  return own
}

describe('a key', () => {
  it('that is missing, wrong, expired or revoked is a 401 in OpenAI’s words', async () => {
    const key = await harness.newKey('keys')
    const expired = await harness.newKey('keys')
    await harness.db.query("UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE hint = $1", [
      expired.slice(-4),
    ])
    const missing = await harness.call('GET', '/v1/batches')
    expect(missing.json.error?.message).toMatch(/^You didn't provide an API key\. You need to provide your API key/)
    const wrong = await harness.call('GET', '/v1/batches', 'sk-wrong-key-1234')
    expect(wrong.json.error).toMatchObject({
      code: 'invalid_api_key',
      message: expect.stringMatching(/^Incorrect API key provided: sk-\*+1234/),
    })
    for (const [answer, status] of [
      [missing, 401],
      [wrong, 401],
      [await harness.call('GET', '/v1/batches', expired), 401],
      [await harness.call('POST', '/v1/chat/completions', 'nope', chat), 401],
      [await harness.call('GET', '/v1/batches', key), 200],
      [await harness.call('GET', '/admin/keys', key), 403],
    ] as const) {
      expect(answer.status).toBe(status)
    }
    await expect(new OpenAI({ apiKey: 'x', baseURL: `${harness.url}/v1` }).models.list()).rejects.toBeInstanceOf(
      OpenAI.AuthenticationError,
    )
  })

  it('that is revoked works for 5 s at most, and its last use is written once a minute', async () => {
    const clock = new ManualClock(Date.now())
    const own = await harnessWith({ clock })
    const key = await own.newKey('revoked')
    expect((await own.call('GET', '/v1/models', key)).status).toBe(200)
    await own.db.query('UPDATE api_keys SET revoked_at = now()')
    await clock.advance(5_000)
    expect((await own.call('GET', '/v1/models', key)).status).toBe(401)
    const used = () => own.db.query('SELECT 1 FROM api_keys WHERE last_used_at IS NOT NULL')
    expect(await used()).toHaveLength(0)
    await clock.advance(60_000)
    await eventually(async () => (await used()).length === 1, { what: 'the last use' })
  })
})

describe('a tenant', () => {
  it('sees nothing of another on any route', async () => {
    const owner = await harness.sdk('owner')
    const file = await owner.files.create({
      file: await OpenAI.toFile(Buffer.from('{}\n'), 'a.jsonl'),
      purpose: 'batch',
    })
    const batch = await owner.batches.create({
      ...{ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' },
    })
    const hook = await harness.call('POST', '/v1/webhooks', owner.apiKey, { url: 'https://example.com/hook' })
    await harness.db.query(
      `INSERT INTO ledger (request_id, kind, tenant_id, batch_id, model, lane, prompt_tokens, completion_tokens,
         reasoning_tokens, amount_nano, price_ids, occurred_at)
       VALUES ('r1', 'usage', 'owner', $1, 'm', 'batch', 10, 5, 0, 77, '{}', now())`,
      [batch.id],
    )
    await harness.db.query(
      `INSERT INTO quality_scores (request_id, tenant_id, batch_id, model, judge_model, safety, coherence, factuality, bias)
       VALUES ('r1', 'owner', $1, 'm', 'judge', 5, 4, 1, 5)`,
      [batch.id],
    )
    await harness.db.query(
      `INSERT INTO reviews (id, tenant_id, request_id, reasons) VALUES ('review_1', 'owner', 'r1', '{factuality}')`,
    )
    const key = await harness.newKey('stranger')
    const one: [string, string][] = [
      ['GET', `/v1/files/${file.id}`],
      ['GET', `/v1/files/${file.id}/content`],
      ['DELETE', `/v1/files/${file.id}`],
      ['GET', `/v1/files?after=${file.id}`],
      ['GET', `/v1/batches/${batch.id}`],
      ['POST', `/v1/batches/${batch.id}/cancel`],
      ['GET', `/v1/batches/${batch.id}/requests`],
      ['GET', `/v1/batches?after=${batch.id}`],
      ['DELETE', `/v1/webhooks/${String(hook.json['id'])}`],
      ['GET', '/v1/reviews/review_1'],
    ]
    for (const [method, path] of one) {
      expect([method, path, (await harness.call(method, path, key)).status]).toEqual([method, path, 404])
      if (method === 'GET') {
        expect([path, (await harness.call(method, path, owner.apiKey)).status]).toEqual([path, 200])
      }
    }
    const steal = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' }
    expect((await harness.call('POST', '/v1/batches', key, steal)).status).toBe(400)
    const groups = ['model', 'batch', 'day', 'key'].map((group) => `/v1/usage?group_by=${group}`)
    for (const path of ['/v1/files', '/v1/batches', '/v1/webhooks', '/v1/reviews', ...groups]) {
      expect([path, (await harness.call('GET', path, key)).json['data']]).toEqual([path, []])
      const theirs = (await harness.call('GET', path, owner.apiKey)).json['data']
      expect([path, Array.isArray(theirs) && theirs.length]).toEqual([path, 1])
    }
    expect((await harness.call('GET', '/v1/usage?group_by=tenant', key)).status).toBe(403)
    expect((await owner.batches.retrieve(batch.id)).status).toBe('validating')
    // Every route with a path parameter under /v1 is in the list above, but for models, which belong to all.
    const document = (await harness.call('GET', '/openapi.json')).json as { paths: Record<string, object> }
    const withId = Object.keys(document.paths).filter((path) => /^\/v1\/(?!models).*\{/.test(path))
    const shape = (path: string) => path.split('?')[0]?.replace(/(file-|batch_|we_|review_)\w+/, '{id}')
    expect(withId.sort()).toEqual(
      [...new Set(one.map(([, path]) => shape(path)).filter((p) => p?.includes('{')))].sort(),
    )
  })
})

describe('rate limits', () => {
  it('refuse what is over a tenant’s own limit with OpenAI’s text, headers and a time to come back', async () => {
    await startScriptedWorker(harness, { models: ['m'], onJob: (_, send) => answerJson(send, chatAnswer) })
    const key = await harness.newKey('limited')
    await harness.db.query("UPDATE tenants SET requests_per_minute = 2, tokens_per_minute = 1000 WHERE id = 'limited'")
    const post = (body: object = chat) => harness.call('POST', '/v1/chat/completions', key, body)
    expect((await post()).headers.get('x-ratelimit-remaining-requests')).toBe('1')
    const second = await post({ ...chat, max_tokens: 100 })
    expect(second.status).toBe(200)
    const refused = await post()
    expect(refused.status).toBe(429)
    expect(refused.json.error).toMatchObject({
      code: 'rate_limit_exceeded',
      message: expect.stringMatching(
        /^Rate limit reached in organization limited on requests per min \(RPM\): Limit 2,/,
      ),
    })
    expect(Number(refused.headers.get('retry-after-ms'))).toBeGreaterThan(0)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(refused.headers.get('x-ratelimit-limit-requests')).toBe('2')
    const large = await harness.newKey('limited-tokens')
    await harness.db.query("UPDATE tenants SET tokens_per_minute = 1000 WHERE id = 'limited-tokens'")
    const tooLarge = await harness.call('POST', '/v1/chat/completions', large, { ...chat, max_tokens: 2000 })
    expect([tooLarge.status, tooLarge.json.error?.message]).toEqual([429, expect.stringMatching(/^Request too large/)])
    // No number that a client may name upsets the count.
    for (const body of ['"max_tokens":1e300', '"n":1e400', '"max_tokens":1e9,"n":1e300']) {
      const text = `{"model":"m","messages":[],${body}}`
      const absurd = await harness.call('POST', '/v1/chat/completions', large, text)
      expect([absurd.status, absurd.headers.get('x-ratelimit-limit-tokens')]).toEqual([429, '1000'])
    }
    // The estimate of 600 is corrected by the 5 tokens really used, so that much more fits.
    for (let i = 0; i < 5; i++) {
      const answer = await harness.call('POST', '/v1/chat/completions', large, { ...chat, max_tokens: 600 })
      expect(answer.status).toBe(200)
      await eventually(
        async () => {
          const probe = await harness.call('POST', '/v1/chat/completions', large, { ...chat, max_tokens: 0 })
          return Number(probe.headers.get('x-ratelimit-remaining-tokens')) > 650
        },
        { what: 'the correction' },
      )
    }
  })

  it('hold across gateways by Redis, and let all pass when it is gone', async () => {
    const one = await harnessWith({ config: { redisUrl: redisUrl(), requestsPerMinute: 1 } })
    await startScriptedWorker(one, { models: ['m'], onJob: (_, send) => answerJson(send, chatAnswer) })
    const tenant = `redis-${Date.now()}`
    const key = await one.newKey(tenant)
    const post = (on: Harness, by: string) => on.call('POST', '/v1/chat/completions', by, chat)
    const limited = await eventually(
      async () => {
        const answer = await post(one, key)
        return answer.status === 429 ? answer : undefined
      },
      { what: 'the limiter to be connected' },
    )
    expect(limited.headers.get('x-ratelimit-limit-requests')).toBe('1')

    const redis = await startRedis()
    const lone = await harnessWith({ config: { redisUrl: redis.url, requestsPerMinute: 1 } })
    await startScriptedWorker(lone, { models: ['m'], onJob: (_, send) => answerJson(send, chatAnswer) })
    const loneKey = await lone.newKey('lone')
    await redis.kill()
    expect((await post(lone, loneKey)).status).toBe(200)
    expect((await post(lone, loneKey)).status).toBe(200)
    expect((await lone.call('GET', '/metrics')).text).toMatch(/forebay_limiter_errors_total [1-9]/)
  })
})

describe('every error is in OpenAI’s shape with a request id', () => {
  it.each([
    ['GET', '/nope', 404, 'not_found'],
    ['GET', '/v1/nope', 404, 'not_found'],
    ['PUT', '/v1/files', 405, 'method_not_allowed'],
    ['DELETE', '/v1/chat/completions', 405, 'method_not_allowed'],
    ['GET', '/v1/files/%zz', 400, 'invalid_request'],
    ['GET', '/v1/files/%00', 400, 'invalid_value'],
    ['GET', '/v1/files?limit=0', 400, 'invalid_value'],
    ['GET', '/v1/files?limit=ten', 400, 'invalid_type'],
    ['GET', '/v1/files?order=up', 400, 'invalid_value'],
    ['GET', '/v1/files?purpose=%00', 400, 'invalid_value'],
    ['GET', '/v1/usage?start=soon', 400, 'invalid_value'],
    ['GET', '/v1/usage?start=-1', 400, 'invalid_value'],
  ])('%s %s → %i', async (method, path, status, code) => {
    const answer = await harness.call(method, path, await harness.newKey('shapes'))
    expect([answer.status, answer.json.error]).toEqual([
      status,
      { message: expect.any(String), type: 'invalid_request_error', param: answer.json.error?.param ?? null, code },
    ])
    expect(answer.headers.get('x-request-id')).toMatch(/^req_/)
  })

  it('also for bodies of the wrong type, size or syntax, and bytes that are no HTTP', async () => {
    const own = await harnessWith({ config: { maxBodyBytes: 1_000 } })
    const key = await own.newKey('bodies')
    const post = (body: string, type: string) => own.call('POST', '/v1/batches', key, body, { 'content-type': type })
    expect(await post('a=b', 'application/x-www-form-urlencoded')).toMatchObject({ status: 415 })
    expect(await post('{', 'application/json')).toMatchObject({
      status: 400,
      json: { error: { code: 'invalid_json' } },
    })
    expect(await post('', 'application/json')).toMatchObject({
      status: 400,
      json: { error: { message: 'The request body must be a JSON object, but got none.' } },
    })
    expect(await post('--x--', 'multipart/form-data; boundary=x')).toMatchObject({ status: 415 })
    expect(await post(JSON.stringify('x'.repeat(2_000)), 'application/json')).toMatchObject({
      status: 413,
      json: { error: { code: 'payload_too_large' } },
    })
    const raw = await new Promise<string>((resolve, reject) => {
      let text = ''
      const socket = connect(own.gateway.port, '127.0.0.1', () => socket.write('nonsense\r\n\r\n'))
      socket.on('data', (data) => {
        text += data
      })
      socket.on('end', () => resolve(text))
      socket.on('error', reject)
    })
    expect(raw).toMatch(/^HTTP\/1.1 400 Bad Request\r\nx-request-id: req_/)
    expect(JSON.parse(raw.split('\r\n\r\n')[1] ?? '').error.type).toBe('invalid_request_error')
  })
})

describe('what an operator asks', () => {
  it('is ready, or says what is in trouble', async () => {
    const own = await harnessWith({})
    expect((await own.call('GET', '/healthz')).json).toEqual({ status: 'ok' })
    expect((await own.call('GET', '/readyz')).json).toEqual({ status: 'ready' })
    await own.db.stop()
    const answer = await own.call('GET', '/readyz')
    expect([answer.status, answer.json['reason']]).toEqual([503, expect.stringMatching(/^database: /)])
  })

  it('is documented by the routes themselves, without anything from elsewhere', async () => {
    const document = (await harness.call('GET', '/openapi.json')).json as { paths: Record<string, object> }
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining(['/v1/batches', '/v1/files/{id}/content', '/v1/chat/completions', '/v1/models/{id}']),
    )
    const docs = await fetch(`${harness.url}/docs`)
    const page = await docs.text()
    expect(docs.status).toBe(200)
    const sources = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, source]) => source ?? '')
    expect(sources.length).toBeGreaterThan(3)
    for (const source of sources) {
      expect(source).not.toMatch(/^(https?:)?\/\//)
      expect((await fetch(new URL(source, docs.url))).status).toBe(200)
    }
  })

  it('is counted by route and status', async () => {
    await harness.call('GET', '/v1/files/file-x', await harness.newKey('counted'))
    const { text } = await harness.call('GET', '/metrics')
    expect(text).toMatch(
      /forebay_http_request_duration_seconds_count\{method="GET",route="\/v1\/files\/:id",status="404"/,
    )
  })
})

it('a stop lets a live request finish, takes no new one, and then returns', async () => {
  const own = await startHarness()
  let finish = () => {}
  const held = new Promise<void>((resolve) => {
    finish = resolve
  })
  const worker = await startScriptedWorker(own, {
    models: ['m'],
    onJob: async (_, send) => {
      await send({ type: 'accepted', workerId: 'w1' })
      await send({ type: 'head', status: 200, contentType: 'text/event-stream' })
      await send({ type: 'data', text: chunkEvent('a') })
      await held
      await send({ type: 'data', text: chunkEvent('b') })
      await send({ type: 'end', usage: null })
    },
  })
  const key = await own.newKey('drain')
  const running = own.call('POST', '/v1/chat/completions', key, { ...chat, stream: true })
  await eventually(() => worker.jobs.length === 1, { what: 'the job' })
  const stopped = own.gateway.stop()
  await eventually(
    () =>
      own.call('GET', '/healthz').then(
        () => false,
        () => true,
      ),
    { what: 'new requests to be refused' },
  )
  finish()
  expect((await running).text).toBe(chunkEvent('a') + chunkEvent('b'))
  await stopped
  await own.stop()
})

it('a stop that waited drainMs tells what is still under way, and returns', async () => {
  const own = await startHarness({ config: { drainMs: 50 } })
  const worker = await startScriptedWorker(own, {
    models: ['m'],
    onJob: (_, send) => send({ type: 'accepted', workerId: 'w1' }),
  })
  const running = own.call('POST', '/v1/chat/completions', await own.newKey('drain'), chat)
  await eventually(() => worker.jobs.length === 1, { what: 'the job' })
  await own.stop()
  expect(await running).toMatchObject({ status: 503, json: { error: { code: 'unavailable' } } })
  expect(worker.controls).toHaveLength(1)
})
