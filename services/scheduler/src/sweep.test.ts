import { blobKeys } from '@forebay/contracts'
import { silentLogger } from '@forebay/kernel'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sweep } from './sweep.ts'
import { line, makeTestKit, type TestKit } from './testing/test-kit.ts'

let kit: TestKit
beforeEach(async () => {
  kit = await makeTestKit()
})
afterEach(() => kit.stop())

test('an expired file is deleted, but not while a live batch reads it', async () => {
  const id = await kit.submit([line('a')])
  await kit.db.query(`UPDATE files SET expires_at = now() - interval '1 hour'`)
  const run = () => sweep({ db: kit.db, blobs: kit.blobs, pools: kit.pools, logger: silentLogger })
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
  await sweep({ db: kit.db, blobs: kit.blobs, pools: kit.pools, logger: silentLogger })
  expect(await kit.blobs.size(part)).toBe(1)
  await kit.db.query('UPDATE files SET deleted_at = now()')
  await sweep({ db: kit.db, blobs: kit.blobs, pools: kit.pools, logger: silentLogger })
  expect(await kit.blobs.size(part)).toBeUndefined()
  expect(await kit.db.query('SELECT 1 FROM chunks')).toEqual([])
})
