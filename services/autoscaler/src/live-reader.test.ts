import { silentLogger } from '@forebay/kernel'
import { type Database, ensureTenant, openDatabase } from '@forebay/store'
import { type TestDatabase, testDatabase } from '@forebay/test-support'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { makeLiveReader } from './live-reader.ts'

let database: TestDatabase
let db: Database
beforeAll(async () => {
  database = await testDatabase()
  db = openDatabase({ url: database.url, logger: silentLogger })
  await ensureTenant(db, { id: 'acme' })
})
afterAll(async () => {
  await db.stop()
  await database.drop()
})

let serial = 0
/** Live requests of 100 tokens each that were committed so long ago. */
const ended = (requests: number, secondsAgo: number) => {
  serial += 1_000
  return db.query(
    `INSERT INTO requests (born, id, tenant_id, endpoint, model, pool, lane, worker_id, attempt, outcome, status_code,
       duration_ms, prompt_tokens, completion_tokens, finished_at, committed_at)
     SELECT current_date, 'r' || ($1::int + n), 'acme', '/v1/chat/completions', 'm', 'a', 'realtime', 'w', 1, 'succeeded', 200,
       400, 60, 40, now(), now() - $3 * interval '1 second' FROM generate_series(1, $2::int) n`,
    [serial, requests, secondsAgo],
  )
}

it('takes samples that do not overlap, the first of a minute, and none twice', async () => {
  await ended(60, 30)
  const reader = makeLiveReader({ sampleMs: 0 })
  const first = await reader.read(db)
  expect(first.live).toMatchObject([{ pool: 'a', model: 'm', requests: 60, tokens: 6_000 }])
  expect(first.live[0]?.tokensPerSecond).toBeCloseTo(100)
  // What the first sample saw is not in the second, though it is of the same minute.
  const second = await reader.read(db)
  expect(second.sampledAtMs).toBeGreaterThan(first.sampledAtMs)
  expect(second.live).toMatchObject([{ requests: 60, tokensPerSecond: 0 }])
})

it('gives the same sample again until the next is due', async () => {
  const reader = makeLiveReader({ sampleMs: 60_000 })
  const first = await reader.read(db)
  await ended(10, 0)
  const again = await reader.read(db)
  expect(again.sampledAtMs).toBe(first.sampledAtMs)
  expect(again.live[0]?.tokensPerSecond).toBe(first.live[0]?.tokensPerSecond)
})
