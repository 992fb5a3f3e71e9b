import { blobKeys } from '@forebay/contracts'
import { silentLogger, systemClock } from '@forebay/kernel'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sweep } from './sweep.ts'
import { line, makeTestKit, type TestKit } from './testing/test-kit.ts'

let kit: TestKit
beforeEach(async () => {
  kit = await makeTestKit()
})
afterEach(() => kit.stop())

const run = (more: Partial<Parameters<typeof sweep>[0]['config']> = {}) =>
  sweep({
    ...{ db: kit.db, blobs: kit.blobs, pools: kit.pools, logger: silentLogger, clock: systemClock },
    config: { downloadWindowMs: 3_600_000, retentionInputDays: undefined, retentionOutputDays: 30, ...more },
  })

test('an expired file is deleted, but not while a live batch reads it', async () => {
  const id = await kit.submit([line('a')])
  await kit.db.query(`UPDATE files SET expires_at = now() - interval '1 hour'`)
  const [file] = await kit.db.query<{ blob_key: string }>('SELECT blob_key FROM files')
  const size = () => kit.blobs.size(file?.blob_key ?? '')
  await run()
  expect(await size()).toBeGreaterThan(0)
  await kit.db.query(`UPDATE batches SET status = 'completed' WHERE id = $1`, [id])
  await run()
  expect(await size()).toBeUndefined()
  expect(await kit.db.query('SELECT 1 FROM files WHERE deleted_at IS NOT NULL')).toHaveLength(1)
})

test('the plan and parts of an ended batch go when its files are gone, and not before', async () => {
  const id = await kit.submit([line('a')])
  const part = blobKeys.part('acme', id, 'p')
  await kit.blobs.put(part, Buffer.from('x'))
  await kit.db.query(`UPDATE batches SET status = 'completed', output_file_id = input_file_id WHERE id = $1`, [id])
  await kit.db.query('INSERT INTO chunks (batch_id, index, first_entry, entries, est_tokens) VALUES ($1, 0, 0, 1, 1)', [
    id,
  ])
  await run()
  expect(await kit.blobs.size(part)).toBe(1)
  await kit.db.query('UPDATE files SET deleted_at = now()')
  await run()
  expect(await kit.blobs.size(part)).toBeUndefined()
  expect(await kit.db.query('SELECT 1 FROM chunks')).toEqual([])
})

const retain = (columns: string, ...values: unknown[]) =>
  kit.db.query(
    `INSERT INTO tenant_retention (tenant_id, ${columns}) VALUES ('acme', ${values.map((_, i) => `$${i + 1}`).join(', ')})`,
    values,
  )
const gone = async (id: string) =>
  (await kit.db.query('SELECT 1 FROM files WHERE id = $1 AND deleted_at IS NOT NULL', [id])).length === 1

test('files go when their tenant no longer keeps them: inputs so long after their last use, outputs after their making', async () => {
  const id = await kit.submit([line('a')])
  const [input] = await kit.db.query<{ id: string }>('SELECT id FROM files')
  await kit.db.query(
    `INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key, created_at) VALUES
       ('file-out', 'acme', 'o', 'batch_output', 1, '', 'o', now() - interval '8 days'),
       ('file-new', 'acme', 'o', 'batch_output', 1, '', 'n', now() - interval '6 days')`,
  )
  await kit.db.query(`UPDATE files SET created_at = now() - interval '20 days' WHERE id = $1`, [input?.id])
  await kit.db.query(
    `UPDATE batches SET status = 'completed', completed_at = now() - interval '9 days' WHERE id = $1`,
    [id],
  )
  const left = async () => [await gone(input?.id ?? ''), await gone('file-out'), await gone('file-new')]
  await run()
  expect(await left()).toEqual([false, false, false])
  await retain('input_days, output_days', 10, 7)
  await run()
  expect(await left()).toEqual([false, true, false])
  await kit.db.query(`UPDATE tenant_retention SET input_days = NULL`)
  await run({ retentionInputDays: 8 })
  expect(await left()).toEqual([true, true, false])
})

test('with zero retention files go once there was time to download them, and then what is a person’s in the audit rows', async () => {
  const id = await kit.submit([line('person@example.com')])
  await kit.db.query(
    `INSERT INTO requests (born, id, tenant_id, batch_id, line, custom_id, body_hash, endpoint, model, pool,
      lane, worker_id, attempt, outcome, status_code, finished_at)
    VALUES (born_of($1), 'r1', 'acme', $1, 1, 'person@example.com', 'x', '/v1/embeddings', 'm', 'default', 'batch', 'w', 1,
      'succeeded', 200, now())`,
    [id],
  )
  await kit.db.query(
    `INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key, created_at, expires_at)
     VALUES ('file-out', 'acme', 'o', 'batch_output', 1, '', 'o', now() - interval '59 minutes', now() + interval '9 days')`,
  )
  await kit.db.query(
    `UPDATE batches SET status = 'completed', completed_at = now() - interval '59 minutes', output_file_id = 'file-out',
       metadata = '{"for": "person@example.com"}' WHERE id = $1`,
    [id],
  )
  await retain('zero', true)
  const personal = async () =>
    (await kit.db.query<{ custom_id: string | null }>('SELECT custom_id FROM requests'))[0]?.custom_id
  await run()
  expect([await gone('file-out'), await personal()]).toEqual([false, 'person@example.com'])
  await run({ downloadWindowMs: 3_000_000 })
  expect([await gone('file-out'), await personal()]).toEqual([true, null])
  expect(await kit.db.query(`SELECT metadata, erased_at IS NOT NULL AS erased FROM batches`)).toEqual([
    { metadata: null, erased: true },
  ])
  expect(await kit.db.query('SELECT action, data FROM audit_events')).toEqual([
    { action: 'retention', data: { batch: id, emptied: 1 } },
  ])
})
