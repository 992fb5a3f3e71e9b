import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeLogger } from '@forebay/kernel'
import { eventually, redisUrl, tempDir } from '@forebay/test-support'
import { Redis } from 'ioredis'
import { toFile } from 'openai'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { chatLine, type Harness, modelOf, startHarness, untilBatch } from './harness.ts'

/* Marked texts are sent in every way there is; then everything that Forebay keeps or says is searched for them. */

/** Only in prompts. */
const prompt = `canary${randomBytes(8).toString('hex')}`
/** In what a client names things by: custom ids, metadata, a file's name, an idempotency key. */
const person = `person${randomBytes(8).toString('hex')}`

let harness: Harness
let redis: Redis
let model: string
const dataDir = tempDir()
const logs: string[] = []
beforeAll(async () => {
  redis = new Redis(redisUrl())
  harness = await startHarness({
    env: { FOREBAY_DATA_DIR: dataDir, REDIS_URL: redisUrl() },
    logger: makeLogger({ process: 'standalone', level: 'trace', stream: { write: (text) => void logs.push(text) } }),
  })
  model = await modelOf(harness.openai)
})
afterAll(async () => {
  await harness.stop()
  await redis.quit()
})

it('a prompt is in no log, metric, table or Redis key, and after an erasure nothing of its sender is anywhere', async () => {
  const requests = await sendEverything()
  await eventually(async () => (await count('SELECT 1 FROM requests')) === requests, { what: 'all audit rows' })
  await eventually(async () => (await placesOf(prompt)).every((place) => place.startsWith('blob tenants/')), {
    what: 'the queue to be rid of what ran',
  })
  const kept = await placesOf(prompt)
  expect(kept.filter((place) => !/^blob tenants\/[^/]+\/files\//.test(place))).toEqual([])
  expect(kept).toHaveLength(1)
  // What the search finds where something is: else it would prove nothing.
  expect(await placesOf(person)).toEqual(
    expect.arrayContaining([
      'table batches',
      'table files',
      'table requests',
      expect.stringMatching(/^blob .*\/parts\//),
    ]),
  )
  expect(await redis.keys('forebay:answer:*')).not.toEqual([])
  expect(logs.length).toBeGreaterThan(10)
  expect(logs.filter((text) => text.includes(prompt) || text.includes(person))).toEqual([])

  const [row] = await harness.sql('SELECT tenant_id FROM requests LIMIT 1')
  const tenant = String(row?.['tenant_id'])
  const named = await count('SELECT 1 FROM requests WHERE end_user IS NOT NULL')
  expect([named, (await placesOf(`${prompt} twice`)).length]).toEqual([2, 1])
  await admin('POST', `/admin/tenants/${tenant}/erasures`, { end_user: person })
  await erasures(1)
  expect([await count('SELECT 1 FROM requests WHERE end_user IS NOT NULL'), await placesOf(`${prompt} twice`)]).toEqual(
    [...[0, []]],
  )
  const verified = await admin('GET', `/admin/audit/verify?tenant=${tenant}`)
  expect([verified, (await placesOf(prompt)).length]).toMatchObject([{ findings: [], erased: named }, 1])
  await admin('DELETE', `/admin/tenants/${tenant}/content?all=true`)
  await erasures(2)
  expect([...(await placesOf(prompt)), ...(await placesOf(person))]).toEqual([])
  await eventually(async () => (await redis.keys(`forebay:answer:${tenant}:*`)).length === 0, { what: 'the cache' })
  expect(await admin('GET', `/admin/audit/verify?tenant=${tenant}`)).toMatchObject({ findings: [], erased: requests })
  expect(logs.filter((text) => text.includes(prompt) || text.includes(person))).toEqual([])
})

it('live content is kept where the tenant wishes it, byte for byte, with pointers in the audit row, and goes with its key', async () => {
  const [row] = await harness.sql('SELECT tenant_id, api_key_id FROM requests LIMIT 1')
  const tenant = String(row?.['tenant_id'])
  await admin('POST', `/admin/tenants/${tenant}/retention`, { keep_live: true })
  const ask = async (stream: boolean) => {
    const body = JSON.stringify({
      model,
      max_tokens: 5,
      stream,
      messages: [{ role: 'user', content: `${prompt} again` }],
    })
    const answer = await fetch(`${harness.standalone.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${harness.standalone.apiKey}`, 'content-type': 'application/json' },
      body,
    })
    const text = await answer.text()
    const id = answer.headers.get('x-request-id')
    const kept = await eventually(async () => (await harness.sql('SELECT * FROM requests WHERE id = $1', [id]))[0], {
      what: 'the audit row',
    })
    const read = (name: string) => readFileSync(join(dataDir, 'blobs', String(kept?.[name])), 'utf8')
    return { text, request: JSON.parse(read('input_key')), answer: read('part_key'), bytes: kept?.['part_bytes'] }
  }
  const whole = await ask(false)
  expect(whole).toMatchObject({ answer: whole.text, bytes: Buffer.byteLength(whole.text) })
  expect(whole.request).toMatchObject({ messages: [{ content: `${prompt} again` }] })
  const streamed = await ask(true)
  expect(streamed.answer).toContain('[DONE]')
  expect(await placesOf(prompt)).toEqual([
    expect.stringMatching(/^blob tenants\/.*\/live\/requests\//),
    expect.stringMatching(/^blob tenants\/.*\/live\/requests\//),
  ])
  await admin('DELETE', `/admin/tenants/${tenant}/content?key=${row?.['api_key_id']}`)
  await erasures(3)
  expect(await placesOf(prompt)).toEqual([])
})

/** Waits until so many erasures are done. */
const erasures = (done: number) =>
  eventually(async () => (await count(`SELECT 1 FROM erasures WHERE status = 'completed'`)) === done, {
    what: 'the erasure',
  })

/** Answers how many requests end in an audit row. */
async function sendEverything(): Promise<number> {
  const { openai } = harness
  const messages = [{ role: 'user' as const, content: `Tell me of ${prompt}` }]
  const broken = { max_tokens: 1_000_000 }
  const lines = [
    chatLine(model, `${person}-1`, prompt),
    chatLine(model, `${person}-2`, `${prompt} twice`, { user: person }),
    chatLine(model, `${person}-3`, `${prompt} too long`, broken),
  ]
  const file = await openai.files.create({
    purpose: 'batch',
    file: await toFile(Buffer.from(`${lines.join('\n')}\n`), `${person}.jsonl`),
  })
  const batch = await openai.batches.create(
    {
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      metadata: { who: person },
    },
    { idempotencyKey: person },
  )
  const refused = await openai.files.create({
    purpose: 'batch',
    file: await toFile(Buffer.from(`{"custom_id": "${person}", "body": "${prompt}"}\n`), `${person}.jsonl`),
  })
  const faulty = await openai.batches.create({
    input_file_id: refused.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  })
  await openai.chat.completions.create({ model, messages, max_tokens: 5, temperature: 0, user: person })
  const stream = await openai.chat.completions.create({ model, messages, max_tokens: 5, stream: true })
  for await (const _ of stream);
  await openai.embeddings.create({ model, input: [prompt] })
  await expect(openai.chat.completions.create({ model, messages, ...broken })).rejects.toMatchObject({ status: 400 })
  const named = { model: 'nope', messages }
  await expect(openai.chat.completions.create(named)).rejects.toMatchObject({ status: 404 })
  const malformed = await fetch(`${harness.standalone.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${harness.standalone.apiKey}`, 'content-type': 'application/json' },
    body: `{"messages": "${prompt}`,
  })
  expect(malformed.status).toBe(400)
  expect((await untilBatch(openai, batch.id)).request_counts).toEqual({ total: 3, completed: 2, failed: 1 })
  expect((await untilBatch(openai, faulty.id)).status).toBe('failed')
  // The files of the refused batch go at once: the one with lines that ran is enough to look at.
  await openai.files.delete(refused.id)
  return 3 + 4
}

/** Every place in which a text stands: tables, Redis keys, blobs, metrics. */
async function placesOf(text: string): Promise<string[]> {
  const found = await Promise.all([inTables(text), inRedis(text), inBlobs(text), inMetrics(text)])
  return found.flat()
}

async function inTables(text: string): Promise<string[]> {
  const tables = await harness.sql(
    `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name, tablename FROM pg_tables
     WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
  )
  const places: string[] = []
  // Bytes are written in hex in a row's text.
  const hex = Buffer.from(text).toString('hex')
  for (const { name, tablename } of tables) {
    const where = 't::text LIKE $1 OR t::text LIKE $2'
    const rows = await harness.sql(`SELECT 1 FROM ${name} t WHERE ${where} LIMIT 1`, [`%${text}%`, `%${hex}%`])
    if (rows.length > 0) places.push(`table ${/^requests_/.test(String(tablename)) ? 'requests' : tablename}`)
  }
  return places
}

async function inRedis(text: string): Promise<string[]> {
  const places: string[] = []
  for await (const keys of redis.scanStream({ count: 1_000 }) as AsyncIterable<string[]>) {
    for (const key of keys) {
      // One answer to everything, whatever its type: its serialised bytes, which may be compressed, will not do.
      const type = await redis.type(key)
      const value =
        type === 'string'
          ? await redis.get(key)
          : type === 'hash'
            ? await redis.hgetall(key)
            : type === 'list'
              ? await redis.lrange(key, 0, -1)
              : type === 'set'
                ? await redis.smembers(key)
                : type === 'zset'
                  ? await redis.zrange(key, '0', '-1')
                  : type === 'stream'
                    ? await redis.xrange(key, '-', '+')
                    : null
      if (key.includes(text) || JSON.stringify(value).includes(text)) places.push(`redis ${key}`)
    }
  }
  return places
}

async function inBlobs(text: string): Promise<string[]> {
  const root = join(dataDir, 'blobs')
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => path.includes(text) || readFileSync(path).includes(text))
    .map((path) => `blob ${path.slice(root.length + 1)}`)
}

async function inMetrics(text: string): Promise<string[]> {
  const metrics = await (await fetch(`${harness.standalone.url}/metrics`)).text()
  return metrics.includes(text) ? ['metrics'] : []
}

async function count(sql: string): Promise<number> {
  return (await harness.sql(sql)).length
}

async function admin(method: string, path: string, body?: object): Promise<unknown> {
  const { apiKey, url } = harness.standalone
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${apiKey}`, ...(body ? { 'content-type': 'application/json' } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  expect(answer.ok).toBe(true)
  return answer.json()
}
