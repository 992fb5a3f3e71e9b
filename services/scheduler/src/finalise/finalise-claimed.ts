import { createHash } from 'node:crypto'
import type { BlobStore } from '@forebay/blobs'
import { releaseBatchHolds } from '@forebay/budgets'
import type { Config } from '@forebay/config'
import { blobKeys } from '@forebay/contracts'
import type { Clock, Logger } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import { keptMs, readRetention } from '@forebay/retention'
import type { Database, Queryable, Row } from '@forebay/store'
import type { BatchRow } from '../batch-row.ts'
import { recordBatchEvent } from '../events.ts'
import type { SchedulerMetrics } from '../metrics.ts'
import { sayWaiting } from '../say-waiting.ts'
import { everyLine, finishedOnly } from './batch-lines.ts'
import type { WrittenFile } from './result-file.ts'
import { resultRows } from './result-rows.ts'
import { type WatchedStores, watchStores } from './watch-stores.ts'
import { writeResults } from './write-results.ts'

/** What finalising a closed batch needs. */
export interface FinaliseOptions {
  db: Database
  blobs: BlobStore
  clock: Clock
  logger: Logger
  config: Pick<
    Config,
    | 'cacheTtlMs'
    | 'downloadWindowMs'
    | 'maxLineBytes'
    | 'retentionAuditDays'
    | 'retentionInputDays'
    | 'retentionOutputDays'
  >
  metrics: SchedulerMetrics
  pools: Pools
}

/**
 * Finalises a claimed, closed batch: its files, its final status and its event, the latter three in one transaction. The
 * files' ids follow from the batch's, so a repetition after a crash, or beside a claim that was lost, writes the same
 * bytes to the same place. Of a store that does not answer, the batch says that it waits for it.
 */
export async function finaliseClaimed(
  options: FinaliseOptions,
  batch: BatchRow,
  owner: string,
  signal: AbortSignal,
): Promise<void> {
  const { blobs, db, pools } = options
  const stores = watchStores({ files: blobs, storeOf: (pool) => pools.blobs(pool) })
  try {
    await finalise({ ...options, blobs: stores.files, storeOf: stores.storeOf }, batch, owner, signal)
  } catch (err) {
    if (!signal.aborted) await sayWaiting(db, { batchId: batch.id, owner, waitingFor: stores.waitingFor() })
    throw err
  }
}

async function finalise(
  options: FinaliseOptions & Pick<WatchedStores, 'storeOf'>,
  batch: BatchRow,
  owner: string,
  signal: AbortSignal,
): Promise<void> {
  const { db, blobs, clock, config, logger, storeOf } = options
  const startMs = clock.now()
  const finalStatus = batch.finalStatus ?? 'completed'
  const ids = { output: fileId(batch.id, 'output'), error: fileId(batch.id, 'error') }
  const rows = resultRows(db, batch.id)
  const { inputKey } = batch
  const { maxLineBytes } = config
  const complete = (await countRows(db, batch.id)) >= batch.total
  const lines = complete ? finishedOnly(rows) : everyLine({ blobs, inputKey, maxLineBytes, rows })
  const written = await writeResults({
    blobs,
    storeOf,
    batchId: batch.id,
    finalStatus,
    // A batch that ended before it was planned has no accepted line.
    lines: batch.total === 0 ? finishedOnly(noRows()) : lines,
    outputKey: blobKeys.file(batch.tenantId, ids.output),
    errorKey: blobKeys.file(batch.tenantId, ids.error),
    signal,
  })
  const counts = { completed: written.output?.lines ?? 0, failed: written.error?.lines ?? 0 }
  if (counts.completed + counts.failed !== batch.total) {
    throw new Error(
      `batch ${batch.id} has ${batch.total} requests, its files ${counts.completed + counts.failed} lines`,
    )
  }
  const ended = await db.tx(async (tx) => {
    const moved = await tx.query(
      `UPDATE batches SET status = $3, waiting_for = NULL, completed = $4, failed = $5, output_file_id = $6, error_file_id = $7, ${finalStatus}_at = now()
       WHERE id = $1 AND claimed_by = $2 AND closed_at IS NOT NULL AND status IN ('finalizing', 'cancelling') RETURNING id`,
      [
        batch.id,
        owner,
        finalStatus,
        counts.completed,
        counts.failed,
        written.output ? ids.output : null,
        written.error ? ids.error : null,
      ],
    )
    if (moved.length === 0) return false
    const { inForce } = await readRetention(tx, batch.tenantId, config)
    const keptSeconds = keptMs(inForce.outputDays, config.downloadWindowMs) / 1000
    const forSeconds = Math.min(batch.outputExpiresAfterSeconds ?? keptSeconds, keptSeconds)
    if (written.output) await insertFile(tx, batch, { id: ids.output, kind: 'output', ...written.output, forSeconds })
    if (written.error) await insertFile(tx, batch, { id: ids.error, kind: 'error', ...written.error, forSeconds })
    await releaseBatchHolds(tx, batch.id)
    await recordBatchEvent(tx, clock, batch, finalStatus)
    return true
  })
  if (!ended) return
  options.metrics.finaliseSeconds.observe((clock.now() - startMs) / 1000)
  logger.info({ batchId: batch.id, finalStatus, ...counts }, 'batch finalised')
}

function fileId(batchId: string, kind: 'output' | 'error'): string {
  return `file-${createHash('sha256').update(`${batchId}/${kind}`).digest('hex').slice(0, 32)}`
}

async function* noRows() {}

async function countRows(db: Queryable, batchId: string): Promise<number> {
  const sql = 'SELECT count(*) FROM requests WHERE born = born_of($1) AND batch_id = $1'
  const [row] = await db.query<Row & { count: number }>(sql, [batchId])
  return row?.count ?? 0
}

async function insertFile(
  tx: Queryable,
  batch: BatchRow,
  file: WrittenFile & { id: string; kind: 'output' | 'error'; forSeconds: number },
): Promise<void> {
  const { id } = file
  await tx.query(
    `INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key, expires_at)
     VALUES ($1, $2, $3, 'batch_output', $4, $5, $6, now() + $7 * interval '1 second')`,
    [
      id,
      batch.tenantId,
      `${batch.id}_${file.kind}.jsonl`,
      file.bytes,
      file.sha256,
      blobKeys.file(batch.tenantId, id),
      file.forSeconds,
    ],
  )
}
