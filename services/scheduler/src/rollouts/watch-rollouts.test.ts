import { makeRegistry, newId, silentLogger, systemClock } from '@forebay/kernel'
import type { PoolSpec } from '@forebay/pools'
import type { Row } from '@forebay/store'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { makeSchedulerMetrics } from '../metrics.ts'
import { makeTestKit, type TestKit } from '../testing/test-kit.ts'
import { watchRollouts } from './watch-rollouts.ts'

let kit: TestKit
beforeAll(async () => {
  kit = await makeTestKit()
  await kit.db.query(`INSERT INTO models (pool, model, engine) VALUES ('old', 'm', 'test'), ('new', 'm', 'test')`)
})
afterAll(() => kit.stop())
beforeEach(async () => {
  await kit.db.query('DELETE FROM rollouts')
  await kit.db.query('DELETE FROM events')
})

const watch = () => {
  const spec = (name: string) => ({ name, versions: name === 'new' ? { m: 'v2' } : undefined }) as unknown as PoolSpec
  const pools = { ...kit.pools, knows: () => true, list: () => [], spec }
  const metrics = makeSchedulerMetrics(makeRegistry())
  return watchRollouts({ db: kit.db, pools, clock: systemClock, logger: silentLogger, metrics, scoreMin: 3 })
}

/** A running rollout whose weight has been what it is for an hour. */
const begin = (id: string, steps: number[]) =>
  kit.db.query(
    `INSERT INTO rollouts (id, tenant_id, model, to_version, weight, steps, rules, reason, created_at, stepped_at)
     VALUES ($1, 'acme', 'm', 'v2', 10, $2, $3, 'Started.', now() - interval '1 hour', now() - interval '1 hour')`,
    [
      id,
      steps,
      JSON.stringify({ stepSeconds: 60, minSample: 50, errorMargin: 0.01, latencyRatio: 1.25, qualityMargin: 0.02 }),
    ],
  )

let serial = 0
const ended = async (pool: string, requests: number, failed: number) => {
  serial += 10_000
  await kit.db.query(
    `INSERT INTO requests (born, id, tenant_id, endpoint, model, pool, lane, worker_id, attempt, outcome, status_code,
       duration_ms, finished_at)
     SELECT current_date, 'r' || ($1::int + n), 'acme', '/v1/chat/completions', 'm', $2, 'realtime', 'w', 1,
       CASE WHEN n <= $4 THEN 'failed' ELSE 'succeeded' END, 200, 400 + n % 50, now() FROM generate_series(1, $3::int) n`,
    [serial, pool, requests, failed],
  )
}

const now = async (id: string) => {
  const [row] = await kit.db.query<Row & { state: string; weight: number; reason: string }>(
    'SELECT state, weight, reason FROM rollouts WHERE id = $1',
    [id],
  )
  const told = await kit.db.query<{ type: string; data: { reason: string } } & Row>('SELECT type, data FROM events')
  return { ...row, told: told.map(({ data, type }) => [type, data.reason]) }
}

it('a healthy version goes on, is told of, and goes on no further before its next sample', async () => {
  await begin('rollout_1', [50, 100])
  await ended('old', 200, 1)
  await ended('new', 60, 0)
  expect(await watch()).toBe(true)
  const after = await now('rollout_1')
  expect(after).toMatchObject({ state: 'running', weight: 50, told: [['rollout.stepped', after.reason]] })
  expect(after.reason).toMatch(/^From 10 % to 50 %: 0\.0 % \(0\.5 % before\) of its requests failed/)
  expect(await watch()).toBe(false)
})

it('a version that fails is rolled back by itself, with the figures in one sentence', async () => {
  await begin('rollout_2', [])
  await ended('new', 40, 30)
  expect(await watch()).toBe(true)
  const after = await now('rollout_2')
  expect(after).toMatchObject({ state: 'rolled_back', weight: 0, told: [['rollout.rolled_back', after.reason]] })
  expect(after.reason).toMatch(/^Rolled back from 10 %: version v2 is worse beyond doubt, \d+\.\d % \(0\.5 % before\)/)
})

/** A batch of which both versions answered lines: how many answers of each were measured, and how many of them repeat themselves. */
const ran = async (measured: { pool: string; answers: number; over: number }[]) => {
  const id = newId('batch_', systemClock.now())
  await kit.db.query(
    `INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key) VALUES ($1, 'acme', 'f', 'batch', 1, '\\x00', $1)`,
    [id],
  )
  await kit.db.query(
    `INSERT INTO batches (id, tenant_id, api_key_id, endpoint, input_file_id, completion_window, status, model, expires_at)
     VALUES ($1, 'acme', 'k', '/v1/chat/completions', $1, '24h', 'in_progress', 'm', now() + interval '1 day')`,
    [id],
  )
  for (const { answers, over, pool } of measured) {
    await kit.db.query(
      `INSERT INTO batch_quality (batch_id, measure, pool, model, answers, total, over, buckets)
       VALUES ($1, 'repetition', $2, 'm', $3::int, $4::int, $4::int, '{}')`,
      [id, pool, answers, over],
    )
  }
  return id
}

/** What the judge gave answers of a batch. */
const judged = async (batchId: string, pool: string, of: { answers: number; flagged: number }) => {
  serial += 10_000
  await kit.db.query(
    `WITH done AS (
       INSERT INTO requests (born, id, tenant_id, batch_id, endpoint, model, pool, lane, worker_id, attempt, outcome, status_code,
         duration_ms, finished_at)
       SELECT born_of($1), 'batch_req_' || substring($1 FROM 7) || '_' || ($2::int + n), 'acme', $1, '/v1/chat/completions', 'm', $3,
         'batch', 'w', 1, 'succeeded', 200, 400 + n % 50, now() FROM generate_series(1, $4::int) n RETURNING id)
     INSERT INTO quality_scores (request_id, tenant_id, batch_id, model, judge_model, safety, coherence, factuality, bias)
     SELECT id, 'acme', $1, 'm', 'judge', 5, CASE WHEN row_number() OVER () <= $5 THEN 2 ELSE 4 END, 5, 5 FROM done`,
    [batchId, serial, pool, of.answers, of.flagged],
  )
}

it('a version whose answers repeat themselves is rolled back, though nothing of it fails', async () => {
  await kit.db.query('DELETE FROM requests')
  await begin('rollout_3', [])
  await ran([{ pool: 'old', answers: 400, over: 4 }])
  // Of batches that the old version alone ran nothing is compared.
  await ran([
    { pool: 'old', answers: 400, over: 4 },
    { pool: 'new', answers: 60, over: 30 },
  ])
  expect(await watch()).toBe(true)
  const after = await now('rollout_3')
  expect(after).toMatchObject({ state: 'rolled_back', weight: 0 })
  expect(after.reason).toBe(
    'Rolled back from 10 %: version v2 is worse beyond doubt, 50.0 % (1.0 % before) of its answers repeat themselves, over 60 requests; allowed is 2.0 % more.',
  )
})

it('a version whose answers the judge flags is rolled back; one whose few judged answers say nothing is not', async () => {
  await begin('rollout_4', [])
  await kit.db.query('DELETE FROM requests')
  await kit.db.query('DELETE FROM batch_quality')
  const batch = await ran([])
  await judged(batch, 'old', { answers: 100, flagged: 3 })
  await judged(batch, 'new', { answers: 10, flagged: 9 })
  expect(await watch()).toBe(false)
  await judged(batch, 'new', { answers: 20, flagged: 15 })
  expect(await watch()).toBe(true)
  expect((await now('rollout_4')).reason).toMatch(
    /80\.0 % \(3\.0 % before\) of its answers are flagged by the judge, over 30/,
  )
})
