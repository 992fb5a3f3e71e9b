import type { BlobStore } from '@forebay/blobs'
import type { Pools } from '@forebay/pools'
import type { Queryable, Row } from '@forebay/store'

interface Places extends Row {
  pool: string
  own_input: boolean
  input_key: string | null
  input_offset: number
  input_bytes: number
  part_key: string | null
  part_offset: number
  part_bytes: number
}

/**
 * What a line of a batch asked and what it was answered, the bodies as JSON; null for what is no longer kept or cannot
 * be read now.
 */
export async function readAnswer(
  deps: { db: Queryable; blobs: BlobStore; pools: Pools },
  line: { requestId: string; batchId: string },
): Promise<{ request: unknown; answer: unknown }> {
  const { blobs, db, pools } = deps
  const [at] = await db.query<Places>(
    `SELECT r.pool, r.input_key = f.blob_key AS own_input, r.input_key, r.input_offset, r.input_bytes, r.part_key,
       r.part_offset, r.part_bytes
     FROM requests r JOIN batches b ON b.id = r.batch_id JOIN files f ON f.id = b.input_file_id
     WHERE r.born = born_of($1) AND r.id = $1 AND r.batch_id = $2`,
    [line.requestId, line.batchId],
  )
  if (!at) return { request: null, answer: null }
  const ofPool = pools.knows(at.pool) ? pools.blobs(at.pool) : undefined
  const [input, output] = await Promise.all([
    readJson(at.own_input ? blobs : ofPool, at.input_key, at.input_offset, at.input_bytes),
    readJson(ofPool, at.part_key, at.part_offset, at.part_bytes),
  ])
  const { response } = output as { response?: { body?: unknown } | null }
  return { request: (input as { body?: unknown }).body ?? null, answer: response?.body ?? null }
}

async function readJson(
  store: Pick<BlobStore, 'readRange'> | undefined,
  key: string | null,
  offset: number,
  length: number,
): Promise<object> {
  if (!store || key === null) return {}
  try {
    const value: unknown = JSON.parse((await store.readRange(key, offset, offset + length)).toString())
    return value !== null && typeof value === 'object' ? value : {}
  } catch {
    return {}
  }
}
