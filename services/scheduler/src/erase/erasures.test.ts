import { openFolderBlobs } from '@forebay/blobs'
import { blobKeys } from '@forebay/contracts'
import { ForebayError, newId, silentLogger, systemClock } from '@forebay/kernel'
import { singlePool } from '@forebay/pools'
import { eventually, tempDir } from '@forebay/test-support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { line, makeTestKit, type TestKit } from '../testing/test-kit.ts'
import { runErasures, sweepErased } from './erasures.ts'
import { sweepLiveContent } from './live-content.ts'

let kit: TestKit
beforeAll(async () => {
  kit = await makeTestKit({ cancelGraceMs: 100 })
  await kit.start()
})
afterAll(() => kit.stop())

/** A completed batch of two lines, by the key given; answers it with its files. */
async function completed(apiKeyId: string, inputOf?: string) {
  const id = await kit.submit([line('ada@example.com'), line('bob@example.com')])
  await kit.db.query('UPDATE batches SET api_key_id = $2, metadata = $3 WHERE id = $1', [
    id,
    apiKeyId,
    '{"who": "ada"}',
  ])
  if (inputOf) await kit.db.query('UPDATE batches SET input_file_id = $2 WHERE id = $1', [id, inputOf])
  const [held] = await kit.take()
  if (held) await kit.record(held.job)
  if (held) await kit.receiver.settle(held, { kind: 'done' })
  await eventually(async () => (await kit.batch(id)).status === 'completed', { what: 'the batch to end' })
  return kit.batch(id) as Promise<
    Awaited<ReturnType<typeof kit.batch>> & { id: string; input_file_id: string; output_file_id: string }
  >
}

async function request(selector: string, target: string): Promise<string> {
  const id = newId('ers_', systemClock.now())
  await kit.db.query(
    `INSERT INTO erasures (id, tenant_id, selector, target, requested_by, created_at)
     VALUES ($1, 'acme', $2, $3, 'key_admin', clock_timestamp())`,
    [id, selector, target],
  )
  return id
}

async function erased(id: string) {
  await eventually(
    async () =>
      (await kit.db.query(`SELECT 1 FROM erasures WHERE id = $1 AND status = 'completed'`, [id])).length === 1,
    { what: 'the erasure' },
  )
  const [row] = await kit.db.query('SELECT files, batches, requests, kept_files FROM erasures WHERE id = $1', [id])
  return row
}

const blobsOf = async (fileId: string) => kit.blobs.size(blobKeys.file('acme', fileId))
const personal = (batchId: string) =>
  kit.db.query(
    `SELECT custom_id FROM requests WHERE batch_id = $1 AND (custom_id IS NOT NULL OR salt IS NOT NULL OR commitment IS NULL)`,
    [batchId],
  )

test('of a batch everything goes, but an input that another batch reads, and nothing of other batches', async () => {
  const batch = await completed('key_1')
  const other = await completed('key_2', batch.input_file_id)
  const [part] = await kit.db.query<{ part_key: string }>('SELECT part_key FROM requests WHERE batch_id = $1', [
    batch.id,
  ])
  expect(await kit.blobs.size(part?.part_key ?? '')).toBeGreaterThan(0)
  expect(await erased(await request('batch', batch.id))).toEqual({
    files: 1,
    batches: 1,
    requests: 2,
    kept_files: [batch.input_file_id],
  })
  expect(await kit.blobs.size(part?.part_key ?? '')).toBeUndefined()
  expect([await blobsOf(batch.output_file_id), await blobsOf(batch.input_file_id)]).toEqual([
    undefined,
    expect.any(Number),
  ])
  expect(await blobsOf(other.output_file_id)).toBeGreaterThan(0)
  expect([(await personal(batch.id)).length, (await personal(other.id)).length]).toEqual([0, 2])
  expect(await kit.db.query('SELECT metadata FROM batches WHERE id = $1', [batch.id])).toEqual([{ metadata: null }])
  const events = await kit.db.query(`SELECT action, actor, data FROM audit_events WHERE data->>'target' = $1`, [
    batch.id,
  ])
  expect(events).toEqual([
    { action: 'erasure', actor: 'key_admin', data: expect.objectContaining({ selector: 'batch', requests: 2 }) },
  ])
  // Once more finds nothing left to do.
  expect(await erased(await request('batch', batch.id))).toMatchObject({ files: 0, batches: 0, requests: 0 })
  // The file itself takes along every batch that read it.
  expect(await erased(await request('file', batch.input_file_id))).toMatchObject({ files: 2, batches: 1, requests: 2 })
  expect([await blobsOf(batch.input_file_id), (await personal(other.id)).length]).toEqual([undefined, 0])
})

test('a batch that runs is cancelled and waited for, and what a worker brings late goes two hours later', async () => {
  const id = await kit.submit([line('a')])
  const [held] = await kit.take()
  const erasure = await request('batch', id)
  expect(await erased(erasure)).toMatchObject({ files: 2, batches: 1 })
  expect((await kit.batch(id)).status).toBe('cancelled')
  expect(await kit.blobs.size(blobKeys.cancelled('acme', id))).toBe(0)
  const late = blobKeys.part('acme', id, 'late')
  await kit.blobs.put(late, Buffer.from('x'))
  const options = { ...kit, clock: systemClock, logger: silentLogger }
  expect(await sweepErased(options)).toBe(false)
  await kit.db.query(`UPDATE erasures SET completed_at = now() - interval '121 minutes' WHERE id = $1`, [erasure])
  expect(await sweepErased(options)).toBe(true)
  expect(await kit.blobs.size(late)).toBeUndefined()
  expect(await sweepErased(options)).toBe(false)
  if (held) await kit.receiver.settle(held, { kind: 'done' })
})

test('of a key its uploads, batches and live rows go; of a tenant all, also what no row knows of', async () => {
  const mine = await completed('key_mine')
  const theirs = await completed('key_theirs')
  await kit.db.query(`INSERT INTO requests (born, id, tenant_id, api_key_id, body_hash, endpoint, model, pool, lane, worker_id,
      attempt, outcome, status_code, finished_at)
    SELECT born_of(id), id, 'acme', key, 'hash', '/v1/embeddings', 'm', 'default', 'realtime', 'w', 1, 'succeeded', 200, now()
    FROM (VALUES ('live-1', 'key_mine'), ('live-2', 'key_theirs')) AS v (id, key)`)
  const upload = blobKeys.file('acme', 'file-alone')
  await kit.blobs.put(upload, Buffer.from('x'))
  await kit.db.query(
    `INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key, api_key_id)
     VALUES ('file-alone', 'acme', 'ada.jsonl', 'batch', 1, 'x', $1, 'key_mine')`,
    [upload],
  )
  expect(await erased(await request('key', 'key_mine'))).toMatchObject({ files: 3, batches: 1, requests: 3 })
  const hashed = () => kit.db.query(`SELECT api_key_id AS key FROM requests WHERE body_hash IS NOT NULL`)
  expect([await blobsOf('file-alone'), await blobsOf(mine.output_file_id), await hashed()]).toEqual([
    undefined,
    undefined,
    [{ key: 'key_theirs' }],
  ])
  expect(await blobsOf(theirs.output_file_id)).toBeGreaterThan(0)

  await kit.blobs.put(blobKeys.file('acme', 'left-over'), Buffer.from('x'))
  await erased(await request('tenant', 'acme'))
  expect([await blobsOf('left-over'), await blobsOf(theirs.output_file_id), await hashed()]).toEqual([
    undefined,
    undefined,
    [],
  ])
  expect(await kit.db.query(`SELECT 1 FROM files WHERE filename <> 'erased' OR deleted_at IS NULL`)).toEqual([])
  expect(await kit.db.query(`SELECT 1 FROM cache_epochs WHERE tenant_id = 'acme' AND model = '*'`)).toHaveLength(1)
})

test('an erasure that a store’s outage stops half-way says so, and goes on where it was', async () => {
  const lone = await makeTestKit()
  const blobs = openFolderBlobs({ root: tempDir() })
  const pools = singlePool({ name: 'default', queues: lone.queues, blobs, clock: systemClock, logger: silentLogger })
  const ids = ['file-a', 'file-b']
  for (const id of ids) {
    await blobs.put(blobKeys.file('acme', id), Buffer.from('x'))
    await lone.db.query(
      `INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key) VALUES ($1, 'acme', 'n', 'batch', 1, 'x', $2)`,
      [id, blobKeys.file('acme', id)],
    )
  }
  await lone.db.query(`INSERT INTO erasures (id, tenant_id, selector, target, requested_by, created_at)
    VALUES ('ers_1', 'acme', 'tenant', 'acme', 'k', clock_timestamp())`)
  const failing = {
    ...blobs,
    delete: async (key: string) => {
      if (key.endsWith('file-b')) throw new ForebayError('unavailable', 'the store is away')
      await blobs.delete(key)
    },
  }
  const run = (store: typeof blobs) =>
    runErasures(
      { db: lone.db, blobs: store, pools, clock: systemClock, logger: silentLogger },
      new AbortController().signal,
    )
  const state = () => lone.db.query('SELECT status, waiting_for, files FROM erasures')
  expect(await run(failing)).toBe(true)
  expect(await state()).toEqual([
    { status: 'running', waiting_for: expect.stringContaining('the store is away'), files: 1 },
  ])
  expect(await run(blobs)).toBe(false)
  await lone.db.query('UPDATE erasures SET claimed_until = now()')
  expect(await run(blobs)).toBe(true)
  expect(await state()).toEqual([{ status: 'completed', waiting_for: null, files: 2 }])
  await lone.stop()
})

test('live content goes by the day when its tenant no longer keeps it: bodies as inputs, answers as outputs', async () => {
  const day = (ago: number) => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10)
  await kit.db.query(
    `INSERT INTO tenant_retention (tenant_id, input_days, keep_live, live_requests_from, live_answers_from)
     VALUES ('acme', 2, true, $1, $1)`,
    [day(60)],
  )
  const keys = [60, 31, 3, 2].flatMap((ago) => [
    blobKeys.liveRequest('acme', day(ago), 'r'),
    blobKeys.liveAnswer('acme', day(ago), 'r'),
  ])
  for (const key of keys) await kit.blobs.put(key, Buffer.from('x'))
  const run = () => sweepLiveContent({ ...kit, config: { retentionInputDays: undefined, retentionOutputDays: 30 } })
  while (await run());
  const left = []
  for (const key of keys) if ((await kit.blobs.size(key)) !== undefined) left.push(key)
  expect(left).toEqual([
    blobKeys.liveAnswer('acme', day(3), 'r'),
    blobKeys.liveRequest('acme', day(2), 'r'),
    blobKeys.liveAnswer('acme', day(2), 'r'),
  ])
  expect(await run()).toBe(false)
})
