import type { BlobStore } from '@forebay/blobs'
import { describeError, type Logger } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import type { Database, Row } from '@forebay/store'

const perRun = 20

/**
 * Removes what is over: files past their expiry that no live batch reads, and the plan, parts, chunks and progress of
 * batches at their end whose files are gone. A few at a time; true when there is more. A row
 * is marked only after its blobs are gone, so a crash between the two is made good by the next run.
 */
export async function sweep(options: {
  db: Database
  blobs: BlobStore
  pools: Pools
  logger: Logger
}): Promise<boolean> {
  const files = await sweepFiles(options)
  const batches = await sweepBatches(options)
  return files === perRun || batches === perRun
}

async function sweepFiles({ db, blobs, logger }: Parameters<typeof sweep>[0]): Promise<number> {
  const due = await db.query<Row & { id: string; blobKey: string }>(
    `SELECT f.id, f.blob_key AS "blobKey" FROM files f
     WHERE f.deleted_at IS NULL AND f.expires_at <= now() AND NOT EXISTS (
       SELECT 1 FROM batches b WHERE b.input_file_id = f.id
         AND b.status IN ('validating', 'in_progress', 'finalizing', 'cancelling'))
     ORDER BY f.expires_at LIMIT ${perRun}`,
  )
  for (const { id, blobKey } of due) {
    await blobs.delete(blobKey)
    await db.query('UPDATE files SET deleted_at = now() WHERE id = $1 AND deleted_at IS NULL', [id])
    logger.info({ fileId: id }, 'expired file deleted')
  }
  return due.length
}

async function sweepBatches({ db, blobs, pools, logger }: Parameters<typeof sweep>[0]): Promise<number> {
  const due = await db.query<Row & { id: string; tenantId: string }>(
    `SELECT b.id, b.tenant_id AS "tenantId" FROM batches b
     WHERE b.status IN ('completed', 'cancelled', 'expired') AND EXISTS (SELECT 1 FROM chunks c WHERE c.batch_id = b.id)
       AND NOT EXISTS (SELECT 1 FROM files f WHERE f.id IN (b.output_file_id, b.error_file_id) AND f.deleted_at IS NULL)
     ORDER BY b.id LIMIT ${perRun}`,
  )
  let swept = 0
  for (const { id, tenantId } of due) {
    const prefix = `tenants/${tenantId}/batches/${id}/`
    await blobs.deletePrefix(prefix)
    if (!(await emptyPoolStores({ db, pools, logger }, id, prefix))) continue
    swept++
    await db.tx(async (tx) => {
      await tx.query('DELETE FROM chunk_progress WHERE batch_id = $1', [id])
      // Last: having chunks is what marks a batch as not yet swept.
      await tx.query('DELETE FROM chunks WHERE batch_id = $1', [id])
    })
    logger.info({ batchId: id }, 'parts of an ended batch deleted')
  }
  return swept
}

/** Deletes what the batch left in stores of pools. False when one of them does not answer: a later run tries again. */
async function emptyPoolStores(
  { db, pools, logger }: { db: Database; pools: Pools; logger: Logger },
  batchId: string,
  prefix: string,
): Promise<boolean> {
  const rows = await db.query<Row & { pool: string }>(
    `SELECT pool FROM requests WHERE born = born_of($1) AND batch_id = $1 AND part_key IS NOT NULL
     UNION SELECT pool FROM chunks WHERE batch_id = $1 AND pool IS NOT NULL`,
    [batchId],
  )
  for (const { pool } of rows) {
    // What lies in the store of a pool that is no longer configured is its owner's to empty.
    if (!pools.knows(pool) || pools.sharesFileStore(pool)) continue
    try {
      await pools.blobs(pool).deletePrefix(prefix)
    } catch (err) {
      logger.warn({ batchId, pool, reason: describeError(err) }, 'parts in a pool not deleted')
      return false
    }
  }
  return true
}
