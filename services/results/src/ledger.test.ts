import { ledgerDrift } from '@forebay/ledger'
import type { Database } from '@forebay/store'
import { beforeEach, describe, expect, it } from 'vitest'
import { commitEvents } from './commit-events.ts'
import { seedPrices } from './seed-prices.ts'
import { addBatch, eventOf, one, openTestDatabase, resultOf } from './testing/harness.ts'

let db: Database

/** Commits at 3.60 an hour, so that a millisecond of a GPU costs 1,000 nano. */
const commit = (events: Parameters<typeof commitEvents>[0]['events']) =>
  commitEvents({ db, events, costPerGpuHour: (pool) => (pool === 'default' ? 3.6 : undefined) })

beforeEach(async () => {
  db = await openTestDatabase()
  await seedPrices(db)
})

describe('the ledger', () => {
  it('charges to the project of the key, and to the default project for a key that is not there', async () => {
    await db.query(`INSERT INTO projects (tenant_id, id, name) VALUES ('acme', 'search', 'Search')`)
    await db.query(
      `INSERT INTO api_keys (id, tenant_id, project_id, name, hash, hint)
       VALUES ('key_1', 'acme', 'search', 'k', sha256('k'), 'k')`,
    )
    const results = [resultOf({ batchId: null }), resultOf({ batchId: null, apiKeyId: 'key_other' })]
    await commit([eventOf(results)])
    expect(await db.query('SELECT api_key_id AS key, project_id AS project FROM ledger ORDER BY 1')).toEqual([
      { key: 'key_1', project: 'search' },
      { key: 'key_other', project: 'default' },
    ])
  })

  it('charges what no engine computed as a cache hit: its input as cached input, no output', async () => {
    const batchId = await addBatch(db, 2)
    const results = [resultOf({ batchId }), resultOf({ batchId, line: 2, source: 'identical', gpuMs: 0 })]
    await commit([eventOf(results)])
    expect(await db.query('SELECT kind, amount_nano AS nano FROM ledger ORDER BY kind DESC')).toEqual([
      { kind: 'usage', nano: 100 * 75 + 10 * 300 },
      { kind: 'cache_hit', nano: 100 * 75 },
    ])
    expect(await ledgerDrift(db)).toMatchObject({ entries: 2, driftNano: 0, unmatched: 0 })
  })

  it('charges an answer that did not fit the check, for it was kept, and no answer that was asked for again', async () => {
    const batchId = await addBatch(db, 3)
    const discarded = { answers: 2, promptTokens: 200, completionTokens: 30 }
    const unfit = { outcome: 'failed', errorCode: 'check_failed', gpuMs: 0 } as const
    const usage = { promptTokens: 0, cachedTokens: null, completionTokens: 0, reasoningTokens: 0 }
    const results = [
      resultOf({ batchId, discarded }),
      resultOf({ batchId, line: 2, ...unfit }),
      resultOf({ batchId, line: 3, outcome: 'failed', errorCode: 'engine_error', usage }),
    ]
    await commit([eventOf(results)])
    await commit([eventOf(results)])
    const ledger = await db.query(
      'SELECT request_id LIKE $1 AS unfit, prompt_tokens, completion_tokens FROM ledger ORDER BY 1',
      ['%_2'],
    )
    expect(ledger).toEqual([
      { unfit: false, prompt_tokens: 100, completion_tokens: 10 },
      { unfit: true, prompt_tokens: 100, completion_tokens: 10 },
    ])
    const waste = await db.query('SELECT reason, prompt_tokens, completion_tokens, gpu_micros FROM waste')
    expect(waste).toEqual([{ reason: 'check', prompt_tokens: 200, completion_tokens: 30, gpu_micros: null }])
    expect(await one(db, 'SELECT completed, failed, completion_tokens FROM batches')).toEqual({
      ...{ completed: 1, failed: 2, completion_tokens: 20 },
    })
    expect(await ledgerDrift(db)).toMatchObject({ entries: 2, driftNano: 0, unmatched: 0 })
  })

  it('charges a model version at its own price', async () => {
    await db.query(
      `INSERT INTO prices (model, model_version, usage_type, nano_per_million, effective_from)
       VALUES ('m', 'v2', 'input', 1000000000, to_timestamp(0))`,
    )
    const versions = ['v1', 'v2', null]
    await commit([eventOf(versions.map((modelVersion) => resultOf({ batchId: null, modelVersion })))])
    const rows = await db.query('SELECT model_version AS v, amount_nano AS nano FROM ledger ORDER BY v')
    expect(rows.map(({ v, nano }) => [v, nano])).toEqual([
      ['v1', 21_000],
      ['v2', 100_000 + 6_000],
      [null, 21_000],
    ])
    expect(await ledgerDrift(db)).toMatchObject({ driftNano: 0, unmatched: 0 })
  })

  it('never charges at a price that begins after the commit, however far ahead the clock of a worker is', async () => {
    await db.query(
      `UPDATE prices SET effective_to = now() + interval '1 hour' WHERE usage_type = 'input' AND lane IS NULL`,
    )
    await db.query(
      `INSERT INTO prices (model, usage_type, nano_per_million, effective_from)
       VALUES ('*', 'input', 999000000, now() + interval '1 hour')`,
    )
    await commit([eventOf([resultOf({ batchId: null, finishedAtMs: Date.now() + 7_200_000 })])])
    expect(await one(db, 'SELECT amount_nano AS nano FROM ledger')).toEqual({ nano: 21_000 })
    expect(await ledgerDrift(db)).toMatchObject({ driftNano: 0, unmatched: 0 })
  })

  it('keeps what an answer cost to compute beside its price, where that is known', async () => {
    const results = [
      resultOf({ batchId: null, gpuMs: 12.345, model: 'a' }),
      resultOf({ batchId: null, gpuMs: 12.345, model: 'b', pool: 'elsewhere' }),
      resultOf({ batchId: null, gpuMs: null, model: 'c' }),
    ]
    await commit([eventOf(results)])
    const rows = await db.query('SELECT gpu_micros AS micros, compute_nano AS nano FROM ledger ORDER BY model')
    expect(rows).toEqual([
      { micros: 12_345, nano: 12_345 },
      { micros: 12_345, nano: null },
      { micros: null, nano: null },
    ])
  })

  it('records idle and unfinished engine time once per interval, under no tenant', async () => {
    const idle = { fromMs: 1_000.5, toMs: 3_000, gpuMs: 1.5, unfinishedGpuMs: 0.25 }
    const event = eventOf([], { idle })
    await commit([event, event])
    await commit([event, eventOf([], { idle: { ...idle, fromMs: 3_000, toMs: 4_000 }, workerId: 'w2' })])
    expect(
      await one(
        db,
        `SELECT count(*) AS n, sum(gpu_micros)::int AS micros, sum(compute_nano)::int AS nano,
      count(tenant_id) AS tenants FROM ledger WHERE kind = 'idle'`,
      ),
    ).toEqual({ n: 2, micros: 3_000, nano: 3_000, tenants: 0 })
    expect(await one(db, 'SELECT count(*) AS n, sum(gpu_micros)::int AS micros FROM waste')).toEqual({
      n: 2,
      micros: 500,
    })
    expect(await ledgerDrift(db)).toMatchObject({ entries: 0, driftNano: 0, unmatched: 0 })
  })

  it('records what failed and duplicate work used as waste, with its time, and charges nothing for it', async () => {
    const batchId = await addBatch(db, 1)
    const failed = resultOf({ batchId: null, outcome: 'failed', gpuMs: 2 })
    const unused = { promptTokens: 0, cachedTokens: null, completionTokens: 0, reasoningTokens: 0 }
    await commit([
      eventOf([resultOf({ batchId }), failed, resultOf({ batchId: null, outcome: 'failed', usage: unused })]),
    ])
    await commit([eventOf([resultOf({ batchId, gpuMs: 3 })], { workerId: 'w2' })])
    expect(
      await db.query(
        'SELECT reason, prompt_tokens AS tokens, gpu_micros AS micros, compute_nano AS nano FROM waste ORDER BY 1',
      ),
    ).toEqual([
      { reason: 'duplicate', tokens: 100, micros: 3_000, nano: 3_000 },
      { reason: 'failed', tokens: 100, micros: 2_000, nano: 2_000 },
    ])
    expect(await one(db, 'SELECT count(*) AS n FROM ledger')).toEqual({ n: 1 })
  })

  it('and the price book refuse to be changed in retrospect', async () => {
    await commit([eventOf([resultOf({ batchId: null })])])
    for (const sql of [
      'UPDATE ledger SET amount_nano = 0',
      'UPDATE ledger SET amount_nano = 0 WHERE false',
      'DELETE FROM ledger',
      'TRUNCATE ledger',
      'UPDATE prices SET nano_per_million = 0',
      'DELETE FROM prices',
    ])
      await expect(db.query(sql), sql).rejects.toThrow('append-only')
  })

  it('lets the end of a price be set once', async () => {
    await db.query(`UPDATE prices SET effective_to = now() WHERE usage_type = 'output'`)
    await expect(db.query(`UPDATE prices SET effective_to = NULL WHERE usage_type = 'output'`)).rejects.toThrow(
      'append-only',
    )
  })
})
