import { prepareAudit, sealRound } from '@forebay/audit'
import { newId } from '@forebay/kernel'
import { eventually } from '@forebay/test-support'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Harness, startHarness } from '../../testing/harness.ts'

let harness: Harness
let admin: string
const ids = [1, 2, 3].map(() => newId('req_', Date.now()))
beforeAll(async () => {
  harness = await startHarness()
  admin = await harness.newKey('ops', 'admin')
  await harness.newKey('acme')
  await prepareAudit(harness.db)
  for (const [i, id] of ids.entries()) {
    await harness.db.query(
      `INSERT INTO requests (born, id, tenant_id, api_key_id, endpoint, model, model_version, pool, lane, worker_id, attempt,
         outcome, status_code, queued_ms, batcher_ms, first_token_ms, duration_ms, body_hash, finished_at)
       VALUES (born_of($1), $1, 'acme', 'key_1', '/v1/chat/completions', 'm', 'm@4096', 'p', 'realtime', 'w', 2, $2, 200,
         30, 10, 100, 400, sha256('body'), now() - interval '1 second')`,
      [id, i === 1 ? 'failed' : 'succeeded'],
    )
  }
  await harness.db.query("UPDATE requests SET route_reason = 'eu: the best score.' WHERE id = $1", [ids[0]])
  await eventually(async () => (await sealRound(harness.db)).entries === 3, { what: 'the rows to be sealed' })
})
afterAll(() => harness.stop())

const get = (path: string, key = admin) => harness.call('GET', path, key)

it('lists rows in the order of their commits, by pages and filters, to admins only', async () => {
  const first = await get('/admin/audit?tenant=acme&order=asc&limit=2')
  expect(first.json['data']).toMatchObject([
    {
      id: ids[0],
      attempts: 2,
      model_version: 'm@4096',
      why: 'eu: the best score.',
      source: 'engine',
      body_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      timings: { queue_ms: 20, batcher_ms: 10, prefill_ms: 100, decode_ms: 300, total_ms: 400 },
      erased: false,
    },
    { id: ids[1], outcome: 'failed' },
  ])
  const rest = await get(`/admin/audit?tenant=acme&order=asc&after=${first.json['next']}`)
  expect(rest.json).toMatchObject({ data: [{ id: ids[2] }], next: null })
  expect((await get('/admin/audit?tenant=acme&outcome=failed')).json['data']).toMatchObject([{ id: ids[1] }])
  expect((await get('/admin/audit?tenant=acme&end=2020-01-01')).json['data']).toEqual([])
  expect((await get('/admin/audit?tenant=ops')).json['data']).toEqual([])
  expect((await get('/admin/audit?tenant=acme&after=x')).status).toBe(400)
  expect((await get('/admin/audit?tenant=acme', await harness.newKey('acme'))).status).toBe(403)
})

it('verifies a chain, and names the row that does not fit', async () => {
  const verify = async () => (await get('/admin/audit/verify?tenant=acme')).json
  expect(await verify()).toMatchObject({ blocks: 1, entries: 3, findings: [], has_more: false, unsealed: 0 })
  await harness.db.query('UPDATE requests SET prompt_tokens = 1 WHERE id = $1', [ids[1]])
  expect(await verify()).toMatchObject({ findings: [{ kind: 'changed', block: 1, id: ids[1] }] })
  expect((await get('/admin/audit/verify?tenant=none')).status).toBe(404)
})
