import { join } from 'node:path'
import { keepSigningKey, prepareAudit, sealRound, signCheckpoints, verifyChain } from '@forebay/audit'
import { newId } from '@forebay/kernel'
import type { Database } from '@forebay/store'
import { eventually, tempDir } from '@forebay/test-support'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { commitEvents } from './commit-events.ts'
import { addBatch, eventOf, one, openTestDatabase, resultOf, runResults } from './testing/harness.ts'

const all = { afterSeq: 0, blocksMax: 1_000 }
const lines = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i)

/** Seals until so many entries are. Transactions of other tests on the server may hold a round back. */
async function sealEntries(db: Database, wanted: number) {
  let entries = 0
  await eventually(
    async () => {
      entries += await seal(db)
      return entries >= wanted
    },
    { what: `${wanted} entries to be sealed` },
  )
  expect(entries).toBe(wanted)
}

/** Every fifth line names whom it is for. */
const endUserOf = (line: number) => (line % 5 === 0 ? { endUser: 'ab'.repeat(16) } : {})

/** Seals what can be sealed now. */
async function seal(db: Database) {
  let entries = 0
  for (;;) {
    const round = await sealRound(db)
    entries += round.entries
    if (!round.more) return entries
  }
}

describe('the chain of a tenant', () => {
  // One log for every way to tamper with it: each is undone by its rollback.
  let db: Database
  let batchId: string
  const ends: (() => Promise<void>)[] = []
  afterAll(() => Promise.all(ends.map((end) => end())))
  beforeAll(async () => {
    db = await openTestDatabase((end) => ends.push(end))
    batchId = await addBatch(db, 1_000)
    const key = await keepSigningKey(join(tempDir(), 'audit-key.pem'))
    for (const block of [0, 1, 2, 3]) {
      await commitEvents({
        db,
        events: [
          eventOf(
            lines(block * 10 + 1, 10).map((line) =>
              // Sealing hashes in Postgres, verifying here: both must see the same bytes of any text.
              resultOf({ batchId, line, modelVersion: `“é” "\\\n\t ${line}`, ...endUserOf(line) }),
            ),
          ),
        ],
      })
      await sealEntries(db, 10)
      if (block === 2) expect(await signCheckpoints(db, key, 1_800_000_000_123)).toMatchObject([{ seq: 3 }])
    }
    await signCheckpoints(db, key, 1_800_000_060_000)
  })

  /** What is found after these statements, which are taken back. */
  async function foundAfter(...statements: string[]) {
    const undo = new Error('undo')
    let findings: unknown[] = []
    await db
      .tx(async (tx) => {
        for (const statement of statements) await tx.query(statement)
        const inside = { ...db, tx: <T>(work: (tx: typeof db) => Promise<T>) => work(asInside(tx)) }
        findings = (await verifyChain(inside as Database, { tenantId: 'acme', ...all })).findings
        throw undo
      })
      .catch((err: unknown) => {
        if (err !== undo) throw err
      })
    return findings
  }
  const asInside = (tx: Pick<Database, 'query'>) =>
    ({
      ...db,
      query: (sql: string, values?: unknown[]) => (/^SET TRANSACTION/.test(sql) ? [] : tx.query(sql, values)),
    }) as Database
  const idOf = (line: number) => `batch_req_${batchId.slice(6)}_${line}`

  it('verifies when nothing was touched, in one go and in parts', async () => {
    expect(await verifyChain(db, { tenantId: 'acme', ...all })).toMatchObject({
      blocks: 4,
      entries: 40,
      erased: 0,
      checkpoints: 2,
      findings: [],
      lastSeq: 4,
      done: true,
      unsealed: 0,
    })
    const part = await verifyChain(db, { tenantId: 'acme', afterSeq: 2, blocksMax: 1 })
    expect(part).toMatchObject({ blocks: 1, checkpoints: 1, findings: [], lastSeq: 3, done: false })
  })

  it.each([
    ['tokens', 'prompt_tokens = prompt_tokens + 1'],
    ['an outcome', `outcome = 'failed'`],
    ['who it was', `api_key_id = 'key_2'`],
    ['a time', `finished_at = finished_at + interval '1 microsecond'`],
    ['its custom id', `custom_id = 'other'`],
    ['the hash of its body', `body_hash = '\\x00'`],
    ['whom it was for', `end_user = '\\x00'`],
    ['a null', `error_code = ''`],
  ])('names the row in which %s was changed', async (_, change) => {
    expect(await foundAfter(`UPDATE requests SET ${change} WHERE line = 17`)).toMatchObject([
      { kind: 'changed', seq: 2, id: idOf(17) },
    ])
  })

  it('names where a row was removed, inserted or moved to', async () => {
    const removed = await foundAfter('DELETE FROM requests WHERE line = 23')
    expect(removed).toMatchObject([{ kind: 'removed', seq: 3, text: expect.stringContaining(`after ${idOf(22)}`) }])
    const copy = `SELECT (jsonb_populate_record(r, '{"id": "req_forged", "line": 999}')).* FROM requests r WHERE line = 31`
    const inserted = await foundAfter(`INSERT INTO requests ${copy}`)
    expect(inserted).toMatchObject([{ kind: 'inserted', seq: 4, id: 'req_forged' }])
    const moved = await foundAfter(
      'UPDATE requests SET commit_order = (SELECT commit_order FROM requests WHERE line = 1) WHERE line = 40',
    )
    expect(moved).toMatchObject([
      { kind: 'inserted', seq: 1, id: idOf(40) },
      { kind: 'removed', seq: 4 },
    ])
  })

  it('finds blocks that were removed, rewritten, or exchanged, and a chain cut short', async () => {
    const kinds = async (...statements: string[]) =>
      (await foundAfter(...statements)).map((finding) => (finding as { kind: string }).kind)
    expect(await kinds('DELETE FROM audit_blocks WHERE seq = 2')).toContain('block')
    expect(await kinds(`UPDATE audit_blocks SET hash = sha256('x') WHERE seq = 2`)).toContain('block')
    expect(
      await kinds(
        'UPDATE audit_blocks SET seq = 12 WHERE seq = 2',
        'UPDATE audit_blocks SET seq = 2 WHERE seq = 3',
        'UPDATE audit_blocks SET seq = 3 WHERE seq = 12',
      ),
    ).toContain('block')
    const tail = ['DELETE FROM requests WHERE line > 30', 'DELETE FROM audit_blocks WHERE seq = 4']
    expect(await kinds(...tail)).toEqual(['truncated'])
    expect(await kinds(`UPDATE audit_checkpoints SET hash = sha256('x') WHERE seq = 3`)).toEqual(['checkpoint'])
    expect(await kinds(`UPDATE audit_checkpoints SET seq = 2 WHERE seq = 3`)).toEqual(['checkpoint'])
  })

  it('still verifies when what is a person’s was erased, and not when a row only pretends to be', async () => {
    const erase = (commitment: string) =>
      `UPDATE requests SET commitment = ${commitment}, custom_id = NULL, body_hash = NULL,
         end_user = NULL, salt = NULL WHERE line = 5`
    const { commitmentSql } = await import('@forebay/audit')
    expect(await foundAfter(erase(commitmentSql))).toEqual([])
    expect(await foundAfter(erase(`sha256('x')`))).toMatchObject([{ kind: 'changed', id: idOf(5) }])
  })
})

it('seals nothing of a transaction that may still gain rows before it, and every row once, with two replicas at it', async () => {
  const db = await openTestDatabase()
  await prepareAudit(db)
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  let began = () => {}
  const begun = new Promise<void>((resolve) => {
    began = resolve
  })
  const slow = db.tx(async (tx) => {
    await tx.query(`INSERT INTO requests (born, id, tenant_id, endpoint, model, pool, lane, worker_id, attempt, outcome,
      status_code, finished_at) VALUES ('1970-01-01', 'slow', 'acme', '/v1/embeddings', 'm', 'p', 'realtime', 'w', 1,
      'succeeded', 200, now())`)
    began()
    await held
  })
  await begun
  await commitEvents({ db, events: [eventOf([resultOf({ batchId: null })])] })
  expect(await seal(db)).toBe(0)
  release()
  await slow
  const sealed = await Promise.all([seal(db), seal(db), seal(db)])
  const first = sealed.reduce((sum, entries) => sum + entries, 0)
  if (first < 2) await sealEntries(db, 2 - first)
  expect(await verifyChain(db, { tenantId: 'acme', ...all })).toMatchObject({ entries: 2, findings: [], unsealed: 0 })
})

it('goes on above what is sealed after the database moved to a server with lower transaction numbers', async () => {
  const db = await openTestDatabase()
  await commitEvents({ db, events: [eventOf([resultOf({ batchId: null })])] })
  await db.query('UPDATE audit_clock SET sealed_to = 5000000000')
  await prepareAudit(db)
  await commitEvents({ db, events: [eventOf([resultOf({ batchId: null })])] })
  expect(await one(db, 'SELECT max(commit_order) > 5000000000 AS above FROM requests')).toEqual({ above: true })
})

it('the service seals what it commits within moments, and has signed it when it stops', async () => {
  const db = await openTestDatabase()
  const service = await runResults(db, 2)
  await service.send(
    lines(1, 20).map(() => eventOf([resultOf({ batchId: null, requestId: newId('req_', Date.now()) })])),
  )
  await eventually(async () => (await verifyChain(db, { tenantId: 'acme', ...all })).entries === 20, {
    what: 'all rows to be sealed',
  })
  // What cannot be sealed yet when it stops, another replica seals.
  await service.stop()
  const verified = await verifyChain(db, { tenantId: 'acme', ...all })
  expect(verified).toMatchObject({ findings: [], unsealed: 0 })
  expect(verified.checkpoints).toBeGreaterThan(0)
})
