import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Harness, startHarness } from '../../testing/harness.ts'

let harness: Harness
let admin: string
let user: string
beforeAll(async () => {
  harness = await startHarness()
  admin = await harness.newKey('ops', 'admin')
  user = await harness.newKey('acme')
  await harness.db.query(
    `INSERT INTO prices (model, usage_type, nano_per_million, effective_from) VALUES ('*', 'input', 1000000, to_timestamp(0))`,
  )
  for (const id of ['req_1', 'req_2']) {
    await harness.db.query(
      `INSERT INTO requests (born, id, tenant_id, endpoint, model, pool, lane, worker_id, attempt, outcome, status_code,
         prompt_tokens, finished_at)
       VALUES (born_of($1), $1, 'acme', '/v1/chat/completions', 'm', 'p', 'realtime', 'w', 1, 'succeeded', 200, 70, now())`,
      [id],
    )
    await harness.db.query(
      `INSERT INTO ledger (request_id, kind, tenant_id, model, lane, prompt_tokens, completion_tokens, reasoning_tokens,
         amount_nano, price_ids, occurred_at) VALUES ($1, 'usage', 'acme', 'm', 'realtime', 70, 0, 0, 70, '{1}', now())`,
      [id],
    )
  }
})
afterAll(() => harness.stop())

const entryOf = async (request: string) => {
  const found = await harness.call('GET', `/admin/ledger?request=${request}&kind=usage`, admin)
  return (found.json['data'] as { id: number }[])[0]?.id ?? 0
}
const correct = (body: object, key?: string) =>
  harness.call('POST', '/admin/ledger/corrections', admin, body, key === undefined ? {} : { 'idempotency-key': key })

it('corrects an entry with new ones, and takes no more off it than it has, however many ask at once', async () => {
  const entry = await entryOf('req_1')
  const ask = { kind: 'adjustment', entry, amount_nano: -30, reason: 'wrong price' }
  const answers = await Promise.all([correct(ask), correct(ask), correct(ask), correct(ask)])
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 400, 400])
  const listed = await harness.call('GET', '/admin/ledger?request=req_1', admin)
  expect(listed.json['data']).toMatchObject([
    { kind: 'adjustment', amount_nano: -30, corrects: entry, tenant: 'acme', project: 'default', model: 'm' },
    { kind: 'adjustment', amount_nano: -30, corrects: entry, reason: 'wrong price' },
    { kind: 'usage', amount_nano: 70, corrects: null, prices: [1] },
  ])
})

it('writes a correction once per Idempotency-Key, and refuses the key for another', async () => {
  const ask = { kind: 'credit', tenant: 'acme', amount_nano: -1_000, reason: 'outage' }
  const [first, again] = [await correct(ask, 'k1'), await correct(ask, 'k1')]
  expect(first.json).toMatchObject({ kind: 'credit', tenant: 'acme', amount_nano: -1_000, model: null })
  expect(again.json['id']).toBe(first.json['id'])
  expect((await correct({ ...ask, amount_nano: -2 }, 'k1')).status).toBe(422)
})

it.each([
  ['nothing', { kind: 'adjustment', entry: 1, amount_nano: 0, reason: 'x' }, 400],
  ['a credit that charges', { kind: 'credit', tenant: 'acme', amount_nano: 5, reason: 'x' }, 400],
  ['an adjustment of no entry', { kind: 'adjustment', amount_nano: 5, reason: 'x' }, 400],
  ['an entry that is not there', { kind: 'adjustment', entry: 999_999, amount_nano: 5, reason: 'x' }, 404],
  ['a tenant that is not there', { kind: 'credit', tenant: 'nobody', amount_nano: -5, reason: 'x' }, 404],
])('refuses a correction of %s', async (_what, body, status) => {
  expect((await correct(body)).status).toBe(status)
})

it('groups usage by project with corrections beside, and exports the same sum as FOCUS rows', async () => {
  const usage = await harness.call('GET', '/v1/usage?group_by=project', user)
  expect(usage.json['data']).toMatchObject([
    { key: 'default', requests: 2, cached_unknown_requests: 2, cost_nano: 140 - 60 - 1_000, corrections_nano: -1_060 },
  ])
  const csv = await harness.call('GET', '/v1/usage/export', user)
  const [header = '', ...lines] = csv.text.trim().split('\n')
  expect(header.split(',').slice(0, 3)).toEqual(['BilledCost', 'EffectiveCost', 'ListCost'])
  const billed = lines.map((line) => Math.round(Number(line.split(',')[0]) * 1e9))
  expect(billed.sort((a, b) => a - b)).toEqual([-1_000, -30, -30, 70, 70])
  expect(lines.filter((line) => line.includes('m/realtime/input'))).toHaveLength(2)
})

it('tells the drift of the ledger per tenant: none by corrections, some by an entry that is not what usage says', async () => {
  const clean = { entries: 2, ledger_nano: 140, recomputed_nano: 140, drift_nano: 0, unmatched: 0 }
  expect((await harness.call('GET', '/admin/ledger/drift', admin)).json).toMatchObject({
    ...clean,
    tenants: [{ tenant: 'acme', ...clean }],
  })
  await harness.db.query('ALTER TABLE ledger DISABLE TRIGGER ledger_append_only')
  await harness.db.query(`UPDATE ledger SET amount_nano = 60 WHERE request_id = 'req_2'`)
  await harness.db.query(`UPDATE requests SET outcome = 'failed' WHERE id = 'req_1'`)
  expect((await harness.call('GET', '/admin/ledger/drift', admin)).json).toMatchObject({
    ...{ entries: 2, ledger_nano: 130, recomputed_nano: 70, drift_nano: 10 + 70, unmatched: 1 },
  })
})

it('groups a batch by line, in line order and in pages, a correction with the line that it corrects', async () => {
  await harness.db.query(
    `INSERT INTO files (id, tenant_id, purpose, filename, bytes, blob_key, sha256) VALUES ('file-l', 'acme', 'batch', 'f', 1, 'k', '')`,
  )
  await harness.db.query(
    `INSERT INTO batches (id, tenant_id, api_key_id, endpoint, input_file_id, completion_window, status, expires_at)
     VALUES ('batch_1', 'acme', 'k', '/v1/chat/completions', 'file-l', '24h', 'in_progress', now())`,
  )
  for (const line of [2, 10]) {
    await harness.db.query(
      `INSERT INTO ledger (request_id, kind, tenant_id, batch_id, model, lane, prompt_tokens, completion_tokens, reasoning_tokens,
         amount_nano, price_ids, occurred_at) VALUES ($1, 'usage', 'acme', 'batch_1', 'm', 'batch', 9, 0, 0, 9, '{1}', now() - interval '90 days')`,
      [`batch_req_1_${line}`],
    )
  }
  const entry = await entryOf('batch_req_1_10')
  expect((await correct({ kind: 'adjustment', entry, amount_nano: -4, reason: 'x' })).status).toBe(200)
  const lines = (more: string) => harness.call('GET', `/v1/usage?group_by=line${more}`, user)
  const first = await lines('&batch=batch_1&limit=1')
  expect(first.json).toMatchObject({ data: [{ key: '2', requests: 1, cost_nano: 9 }], truncated: true })
  const rest = await lines('&batch=batch_1&after=2')
  expect(rest.json).toMatchObject({
    data: [{ key: '10', requests: 1, input_tokens: 9, cost_nano: 5, corrections_nano: -4 }],
    truncated: false,
  })
  const refused = [await lines(''), await lines('&batch=batch_1&after=x'), await lines('&batch=batch_2')]
  expect(refused.map(({ status, json }) => [status, json.error?.param])).toEqual([
    ...[
      [400, 'batch'],
      [400, 'after'],
      [404, 'batch'],
    ],
  ])
})
