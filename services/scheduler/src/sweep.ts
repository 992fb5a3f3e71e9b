import { recordAuditEvent } from '@forebay/audit'
import type { BlobStore } from '@forebay/blobs'
import type { Config } from '@forebay/config'
import { type Clock, describeError, type Logger, newId } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import type { Database, Row } from '@forebay/store'
import { eraseBatchRow } from './erase/erase-batch.ts'

const perRun = 20
const unread = `NOT EXISTS (SELECT 1 FROM batches b WHERE b.input_file_id = f.id
  AND b.status IN ('validating', 'in_progress', 'finalizing', 'cancelling'))`

/** What sweeping needs. */
export interface SweepOptions {
  db: Database
  blobs: BlobStore
  pools: Pools
  logger: Logger
  clock: Clock
  config: Pick<Config, 'downloadWindowMs' | 'retentionInputDays' | 'retentionOutputDays'>
}

/**
 * Removes what is over: files past their expiry, or past what their tenant keeps, that no live batch reads; the plan,
 * parts, chunks and progress of batches at their end whose files are gone; and of tenants with zero retention what is a
 * person's in the audit rows of those batches. A few at a time; true when there is more. A row is marked only after its
 * blobs are gone, so a crash between the two is made good by the next run.
 */
export async function sweep(options: SweepOptions): Promise<boolean> {
  const expired = await sweepFiles(options, await expiredFiles(options))
  const old = await sweepFiles(options, await oldFiles(options))
  const batches = await sweepBatches(options)
  const emptied = await sweepPersonal(options)
  return [expired, old, batches, emptied].includes(perRun)
}

type DueFile = Row & { id: string; blobKey: string }

function expiredFiles({ db }: SweepOptions): Promise<DueFile[]> {
  return db.query<DueFile>(
    `SELECT f.id, f.blob_key AS "blobKey" FROM files f WHERE f.deleted_at IS NULL AND f.expires_at <= now() AND ${unread}
     ORDER BY f.expires_at LIMIT ${perRun}`,
  )
}

/** Files that their tenants no longer keep: written, or last read by a batch, too long ago. */
function oldFiles({ config, db }: SweepOptions): Promise<DueFile[]> {
  return db.query<DueFile>(
    `SELECT f.id, f.blob_key AS "blobKey" FROM files f LEFT JOIN tenant_retention r ON r.tenant_id = f.tenant_id,
       LATERAL (SELECT greatest($3 * interval '1 millisecond', interval '1 day' * CASE WHEN r.zero THEN 0
         WHEN f.purpose = 'batch_output' THEN coalesce(r.output_days, $2::int)
         ELSE coalesce(r.input_days, $1::int, 36500) END) AS time) AS kept
     WHERE f.deleted_at IS NULL AND f.created_at <= now() - kept.time AND ${unread} AND NOT EXISTS (
       SELECT 1 FROM batches b WHERE b.input_file_id = f.id
         AND greatest(b.completed_at, b.failed_at, b.expired_at, b.cancelled_at) > now() - kept.time)
     LIMIT ${perRun}`,
    [config.retentionInputDays ?? null, config.retentionOutputDays, config.downloadWindowMs],
  )
}

async function sweepFiles({ blobs, db, logger }: SweepOptions, due: readonly DueFile[]): Promise<number> {
  for (const { id, blobKey } of due) {
    await blobs.delete(blobKey)
    await db.query('UPDATE files SET deleted_at = now() WHERE id = $1 AND deleted_at IS NULL', [id])
    logger.info({ fileId: id }, 'expired file deleted')
  }
  return due.length
}

async function sweepBatches({ db, blobs, pools, logger }: SweepOptions): Promise<number> {
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

/** Of tenants with zero retention: empties the rows of batches whose files are gone. */
async function sweepPersonal({ clock, config, db, logger }: SweepOptions): Promise<number> {
  const due = await db.query<Row & { id: string; tenantId: string }>(
    `SELECT b.id, b.tenant_id AS "tenantId" FROM tenant_retention r JOIN batches b ON b.tenant_id = r.tenant_id
     WHERE r.zero AND b.erased_at IS NULL AND b.status IN ('completed', 'failed', 'cancelled', 'expired')
       AND greatest(b.completed_at, b.failed_at, b.expired_at, b.cancelled_at) <= now() - $1 * interval '1 millisecond'
       AND NOT EXISTS (SELECT 1 FROM chunks c WHERE c.batch_id = b.id)
       AND NOT EXISTS (SELECT 1 FROM files f WHERE f.id IN (b.output_file_id, b.error_file_id) AND f.deleted_at IS NULL)
     ORDER BY b.id LIMIT ${perRun}`,
    [config.downloadWindowMs],
  )
  for (const { id, tenantId } of due) {
    const event = { id: newId('aev_', clock.now()), tenantId, action: 'retention', actor: 'scheduler' } as const
    const rows = await eraseBatchRow(db, { id, tenantId }, (tx, emptied) =>
      recordAuditEvent(tx, { ...event, data: { batch: id, emptied } }),
    )
    logger.info({ batchId: id, rows }, 'audit rows of a batch emptied: zero retention')
  }
  return due.length
}

/** Deletes what the batch left in stores of pools. False when one of them does not answer: a later run tries again. */
export async function emptyPoolStores(
  { db, pools, logger }: Pick<SweepOptions, 'db' | 'pools' | 'logger'>,
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
