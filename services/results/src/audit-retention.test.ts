import { eraseRows, sealRound, verifyChain } from '@forebay/audit'
import { newId, silentLogger, systemClock } from '@forebay/kernel'
import { ledgerDrift } from '@forebay/ledger'
import type { Database } from '@forebay/store'
import { eventually } from '@forebay/test-support'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { applyAuditRetention } from './audit-retention.ts'
import { commitEvents } from './commit-events.ts'
import { addBatch, eventOf, one, openTestDatabase, resultOf } from './testing/harness.ts'

const dayMs = 86_400_000
let db: Database
const ends: (() => Promise<void>)[] = []
beforeAll(async () => {
  db = await openTestDatabase((end) => ends.push(end))
})
afterAll(() => Promise.all(ends.map((end) => end())))

const liveOf = (tenantId: string, daysAgo: number) =>
  resultOf({ batchId: null, tenantId, requestId: newId('req_', Date.now() - daysAgo * dayMs) })

/** Commits live results of so many days ago, a block for each call. */
async function commit(tenantId: string, ...daysAgo: number[]) {
  const results = daysAgo.map((days) => liveOf(tenantId, days))
  await commitEvents({ db, events: [eventOf(results)] })
  await sealed(tenantId)
  return results
}

async function sealed(tenantId: string) {
  await eventually(
    async () => {
      await sealRound(db)
      return (await verify(tenantId)).unsealed === 0
    },
    { what: 'all rows to be sealed' },
  )
}

const verify = (tenantId: string) => verifyChain(db, { tenantId, afterSeq: 0, blocksMax: 1_000 })
const retain = (daysDefault?: number) =>
  applyAuditRetention({ db, clock: systemClock, logger: silentLogger, daysDefault }, new AbortController().signal)
const tenant = async (id: string, days: number | null) => {
  await db.query('INSERT INTO tenants (id, name) VALUES ($1, $1)', [id])
  if (days !== null) await db.query('INSERT INTO tenant_retention (tenant_id, audit_days) VALUES ($1, $2)', [id, days])
}
const rowsOf = async (id: string) =>
  (await one(db, `SELECT count(*)::int AS rows FROM requests WHERE tenant_id = '${id}'`))?.['rows']

it('removes whole old blocks of one tenant alone, and the chain still verifies and says up to where', async () => {
  await tenant('short', 30)
  await tenant('forever', null)
  await commit('forever', 80)
  const [old] = await commit('short', 80, 70)
  await commit('short', 60, 5)
  await commit('short', 50)
  await retain()
  await sealed('short')
  expect([await rowsOf('short'), await rowsOf('forever')]).toEqual([3, 1])
  // The second block holds a young row: it stays, and so does what follows it.
  expect(await verify('short')).toMatchObject({ findings: [], retired: 1, entries: 4, unsealed: 0 })
  const events = await db.query(`SELECT action, data FROM audit_events WHERE tenant_id = 'short'`)
  expect(events).toEqual([{ action: 'retention', data: expect.objectContaining({ through_block: 1, rows: 2 }) }])
  expect(await one(db, `SELECT entry_hashes FROM audit_blocks WHERE tenant_id = 'short' AND seq = 1`)).toEqual({
    entry_hashes: null,
  })
  await retain()
  expect(await db.query(`SELECT 1 FROM audit_events WHERE tenant_id = 'short'`)).toHaveLength(1)

  // A result that comes once more is not counted and charged anew, and its ledger entry is not taken for drift.
  const before = await one(db, 'SELECT count(*)::int AS entries FROM ledger')
  const { committed } = await commitEvents({ db, events: old ? [eventOf([old])] : [] })
  expect([committed, await one(db, 'SELECT count(*)::int AS entries FROM ledger')]).toEqual([[], before])
  expect(await ledgerDrift(db, new AbortController().signal)).toMatchObject({ driftNano: 0, unmatched: 0 })
})

it('finds a row that was removed otherwise, and one put back where retention removed them', async () => {
  await tenant('tampered', 30)
  await commit('tampered', 80)
  await commit('tampered', 1, 1)
  await retain()
  await sealed('tampered')
  const [young] = await db.query<{ id: string }>(`SELECT id FROM requests WHERE tenant_id = 'tampered' ORDER BY id`)
  await db.query(
    `INSERT INTO requests SELECT (jsonb_populate_record(r, '{"id": "req_back", "commit_order": 0}')).*
    FROM requests r WHERE id = $1`,
    [young?.id],
  )
  await db.query('DELETE FROM requests WHERE id = $1', [young?.id])
  expect((await verify('tampered')).findings).toMatchObject([
    { kind: 'inserted', seq: 1, id: 'req_back' },
    { kind: 'removed', seq: 2 },
  ])
})

it('keeps the rows of a batch whose answers are still there, and applies the default to who has no own', async () => {
  await tenant('batcher', null)
  const batchId = (await addBatch(db, 1)).replace(/.{32}$/, newId('', Date.now() - 90 * dayMs).slice(0, 32))
  await db.query(
    `INSERT INTO batches (id, tenant_id, api_key_id, endpoint, input_file_id, completion_window, status, expires_at)
     VALUES ($1, 'batcher', 'k', '/v1/embeddings', 'file-1', '24h', 'completed', now())`,
    [batchId],
  )
  await db.query('INSERT INTO chunks (batch_id, index, first_entry, entries, est_tokens) VALUES ($1, 0, 0, 1, 1)', [
    batchId,
  ])
  await commit('batcher', 85)
  await retain(40)
  expect(await rowsOf('batcher')).toBe(1)
  await db.query('DELETE FROM chunks WHERE batch_id = $1', [batchId])
  await retain(40)
  expect(await rowsOf('batcher')).toBe(0)
})

it('drops a month once it is over and empty', async () => {
  await db.query(`SELECT add_audit_month('2025-01-10')`)
  await retain(400)
  expect(await one(db, `SELECT to_regclass('requests_2025_01') AS gone`)).toEqual({ gone: null })
  expect(await one(db, `SELECT to_regclass('requests_rest') IS NOT NULL AS there`)).toEqual({ there: true })
})

it('empties the rows of a key, and of a batch, and leaves those of others as they are', async () => {
  await tenant('erased', null)
  const batchId = await addBatch(db, 10)
  const lines = [1, 2, 3].map((line) => resultOf({ batchId, line, customId: `mail-${line}`, bodyHash: 'ab' }))
  const live = ['key_1', 'key_2'].map((apiKeyId) => ({ ...liveOf('acme', 0), apiKeyId, bodyHash: 'cd' }))
  await commitEvents({ db, events: [eventOf(lines), eventOf(live)] })
  await sealed('acme')
  expect(await eraseRows(db, { tenantId: 'erased', batchId })).toBe(0)
  expect(await eraseRows(db, { tenantId: 'acme', apiKeyId: 'key_2' })).toBe(1)
  expect(await eraseRows(db, { tenantId: 'acme', batchId })).toBe(3)
  expect(await eraseRows(db, { tenantId: 'acme', batchId })).toBe(0)
  expect(await verify('acme')).toMatchObject({ findings: [], erased: 4 })
  const left = await db.query(`SELECT 1 FROM requests WHERE tenant_id = 'acme' AND body_hash IS NOT NULL`)
  expect(left).toHaveLength(1)
})

it('keeps no hash of a live body, nor of whom it was for, of a tenant with zero retention', async () => {
  await db.query(`INSERT INTO tenants (id, name) VALUES ('zero', 'z'), ('other', 'o')`)
  await db.query(`INSERT INTO tenant_retention (tenant_id, zero) VALUES ('zero', true), ('other', false)`)
  const hashed = ['zero', 'other'].map((tenantId) => ({ ...liveOf(tenantId, 0), bodyHash: 'ab', endUser: 'ab' }))
  await commitEvents({ db, events: [eventOf(hashed)] })
  const kept = await db.query(
    `SELECT tenant_id FROM requests WHERE tenant_id IN ('zero', 'other') AND coalesce(body_hash, end_user) IS NOT NULL`,
  )
  expect(kept).toEqual([{ tenant_id: 'other' }])
})
