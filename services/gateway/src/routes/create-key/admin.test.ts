import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Harness, startHarness } from '../../testing/harness.ts'

let harness: Harness
let admin: string
beforeAll(async () => {
  harness = await startHarness({ config: { webhookAllow: ['receiver.local'] } })
  admin = await harness.newKey('ops', 'admin')
})
afterAll(() => harness.stop())

it('creates tenants and their keys, shows a key once, and revokes it', async () => {
  const tenant = { id: 'acme', name: 'Acme', weight: 3, requests_per_minute: 7 }
  expect((await harness.call('POST', '/admin/tenants', admin, tenant)).json).toMatchObject({
    object: 'tenant',
    ...tenant,
  })
  expect((await harness.call('POST', '/admin/tenants', admin, tenant)).status).toBe(409)
  expect((await harness.call('POST', '/admin/tenants', admin, { id: 'Not OK' })).status).toBe(400)
  const made = await harness.call('POST', '/admin/keys', admin, { name: 'first', tenant: 'acme' })
  const key = String(made.json['key'])
  expect(made.json).toMatchObject({ object: 'api_key', tenant: 'acme', role: 'user', hint: key.slice(-4) })
  expect((await harness.call('GET', '/v1/batches', key)).status).toBe(200)
  const list = await harness.call('GET', '/admin/keys?tenant=acme', admin)
  expect(list.json['data']).toHaveLength(1)
  expect(list.text).not.toContain(key)
  expect((await harness.call('POST', '/admin/keys', admin, { name: 'x', tenant: 'nobody' })).status).toBe(404)
  const deleted = await harness.call('DELETE', `/admin/keys/${String(made.json['id'])}`, admin)
  expect(deleted.json['deleted']).toBe(true)
  expect((await harness.call('DELETE', '/admin/keys/key_none', admin)).status).toBe(404)
})

it('keeps every admin route from a key without the role', async () => {
  const key = await harness.newKey('nobody-special')
  for (const path of ['/admin/keys', '/admin/tenants', '/admin/prices', '/admin/projects']) {
    for (const method of ['GET', 'POST']) {
      const answer = await harness.call(method, path, key, method === 'POST' ? {} : undefined)
      expect([method, path, answer.status]).toEqual([method, path, 403])
    }
  }
  expect((await harness.call('DELETE', '/admin/keys/x', key)).status).toBe(403)
})

it('puts a key into a project of its tenant, and refuses one that is not there', async () => {
  await harness.newKey('lab')
  expect((await harness.call('POST', '/admin/projects', admin, { id: 'search', tenant: 'lab' })).json).toMatchObject({
    ...{ object: 'project', id: 'search', name: 'search', tenant: 'lab' },
  })
  expect((await harness.call('POST', '/admin/projects', admin, { id: 'search', tenant: 'lab' })).status).toBe(409)
  const projects = await harness.call('GET', '/admin/projects?tenant=lab', admin)
  expect(projects.json['data']).toMatchObject([{ id: 'default' }, { id: 'search' }])
  const key = (project?: string) => harness.call('POST', '/admin/keys', admin, { name: 'k', tenant: 'lab', project })
  expect((await key('search')).json['project']).toBe('search')
  expect((await key()).json['project']).toBe('default')
  expect((await key('nope')).json.error?.message).toContain("has no project 'nope'")
})

it('a new price ends the one before it at the same instant; one before it is refused', async () => {
  const price = { model: 'm', usage_type: 'input', lane: 'batch', nano_per_million: 5 }
  const first = await harness.call('POST', '/admin/prices', admin, price)
  expect(first.json).toMatchObject({ object: 'price', ...price, tenant: null, effective_to: null })
  expect((await harness.call('POST', '/admin/prices', admin, { ...price, nano_per_million: 6 })).status).toBe(200)
  expect((await harness.call('POST', '/admin/prices', admin, { ...price, effective_from: 1_000 })).status).toBe(409)
  const rows = await harness.db.query<{ nano_per_million: number; open: boolean; joined: boolean }>(
    `SELECT nano_per_million, effective_to IS NULL AS open,
       effective_to = lead(effective_from) OVER (ORDER BY id) AS joined FROM prices ORDER BY id`,
  )
  expect(rows).toEqual([
    { nano_per_million: 5, open: false, joined: true },
    { nano_per_million: 6, open: true, joined: null },
  ])
  const versioned = await harness.call('POST', '/admin/prices', admin, { ...price, model_version: 'v2' })
  expect(versioned.json).toMatchObject({ model_version: 'v2', effective_to: null })
  const anyModel = { ...price, model: '*', model_version: 'v2' }
  expect((await harness.call('POST', '/admin/prices', admin, anyModel)).status).toBe(400)
  expect((await harness.call('GET', '/admin/prices', admin)).json['data']).toHaveLength(3)
})

it('webhook endpoints show their secret once and take only URLs that a delivery may go to', async () => {
  const key = await harness.newKey('hooks')
  const made = await harness.call('POST', '/v1/webhooks', key, {
    url: 'https://a.example/h',
    events: ['batch.completed'],
  })
  const secret = String(made.json['secret'])
  expect(Buffer.from(secret.replace('whsec_', ''), 'base64').length).toBeGreaterThanOrEqual(24)
  expect((await harness.call('POST', '/v1/webhooks', key, { url: 'http://receiver.local/h' })).status).toBe(200)
  const unreachable = [
    '127.0.0.1',
    '10.0.0.1',
    '169.254.169.254',
    '[::1]',
    '[::ffff:10.0.0.1]',
    '2130706433',
    'localhost',
  ]
  for (const url of [
    ...['http://a.example/h', 'ftp://a.example', 'nonsense', 'https://user:pass@a.example'],
    ...unreachable.map((host) => `https://${host}/h`),
  ]) {
    const refused = await harness.call('POST', '/v1/webhooks', key, { url })
    expect([url, refused.status, refused.json.error?.param]).toEqual([url, 400, 'url'])
  }
  const list = await harness.call('GET', '/v1/webhooks', key)
  expect(list.json['data']).toHaveLength(2)
  expect(list.text).not.toContain('whsec_')
  expect((await harness.call('DELETE', `/v1/webhooks/${String(made.json['id'])}`, key)).json['deleted']).toBe(true)
  expect((await harness.call('GET', '/v1/webhooks', key)).json['data']).toHaveLength(1)
})

it('usage adds up the ledger in whole numbers by each group, and audit rows come by line with their cost', async () => {
  const key = await harness.newKey('used')
  await harness.db.query(`INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key)
    VALUES ('file-u', 'used', 'f', 'batch', 1, '', 'k')`)
  await harness.db.query(`INSERT INTO batches (id, tenant_id, api_key_id, endpoint, input_file_id, completion_window,
    expires_at, total) VALUES ('batch_u', 'used', 'k1', '/v1/chat/completions', 'file-u', '24h', now(), 5)`)
  for (const line of [1, 2, 3]) {
    const id = `batch_req_u_${line}`
    await harness.db.query(
      `INSERT INTO requests (born, id, tenant_id, batch_id, line, custom_id, endpoint, model, pool, lane, worker_id, attempt,
         outcome, status_code, finished_at)
       VALUES (born_of($1), $1, 'used', 'batch_u', $2, $3, '/v1/chat/completions', 'm', 'p', 'batch', 'w', 1, 'succeeded', 200, now())`,
      [id, line, `c${line}`],
    )
    await harness.db.query(
      `INSERT INTO ledger (request_id, kind, tenant_id, api_key_id, batch_id, model, lane, prompt_tokens,
         completion_tokens, reasoning_tokens, amount_nano, price_ids, occurred_at)
       VALUES ($1, 'usage', 'used', 'k1', 'batch_u', $2, 'batch', 100, 10, 0, 4000000000000, '{}', now())`,
      [id, line === 3 ? 'big' : 'm'],
    )
  }
  const usage = async (query: string, by = key) => (await harness.call('GET', `/v1/usage${query}`, by)).json['data']
  expect(await usage('')).toMatchObject([
    { key: 'big', requests: 1, cost_nano: 4_000_000_000_000 },
    { key: 'm', requests: 2, input_tokens: 200, output_tokens: 20, cost_nano: 8_000_000_000_000, currency: 'USD' },
  ])
  expect(await usage('?group_by=batch')).toMatchObject([{ key: 'batch_u', requests: 3 }])
  expect(await usage('?group_by=day')).toMatchObject([{ key: expect.stringMatching(/^\d{4}-\d\d-\d\d$/) }])
  expect(await usage('?group_by=tenant', admin)).toMatchObject([{ key: 'used', requests: 3 }])
  expect(await usage('?end=2020-01-01')).toEqual([])

  const page = await harness.call('GET', '/v1/batches/batch_u/requests?limit=2', key)
  expect(page.json).toMatchObject({ has_more: true, last_line: 2, data: [{ line: 1, custom_id: 'c1' }, { line: 2 }] })
  const rest = await harness.call('GET', '/v1/batches/batch_u/requests?after=2', key)
  expect(rest.json).toMatchObject({
    has_more: false,
    data: [{ line: 3, outcome: 'succeeded', cost_nano: 4_000_000_000_000 }],
  })
})
