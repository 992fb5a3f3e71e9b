import type { BlobStore } from '@forebay/blobs'
import { blobKeys } from '@forebay/contracts'
import { describeError, type Logger } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import type { ReplyBus } from '@forebay/reply-bus'
import type { Database, Row } from '@forebay/store'

type FinalStatus = 'completed' | 'expired' | 'cancelled'

interface OpenBatch {
  id: string
  tenantId: string
  cancelling: boolean
  due: FinalStatus | null
}

/**
 * Closes batches: from then on results commits nothing more to them, and they wait to be finalised. Complete ones when
 * their last request is recorded; expired ones at their deadline; cancelled ones when no worker holds a chunk any more
 * or the grace is over. Each in a statement of its own, so that any replica may do it at any time.
 */
export class BatchCloser {
  readonly #options: CloserOptions
  readonly #told = new Set<string>()

  constructor(options: CloserOptions) {
    this.#options = options
  }

  /** True when a batch was closed. */
  async run(): Promise<boolean> {
    const { bus, db } = this.#options
    const rows = await db.query<Row & OpenBatch>(
      `SELECT id, tenant_id AS "tenantId", status = 'cancelling' AS cancelling, due FROM (
         SELECT id, tenant_id, status, CASE ${this.#cases()} END AS due FROM batches
         WHERE status IN ('validating', 'in_progress', 'cancelling') AND closed_at IS NULL) AS open
       WHERE due IS NOT NULL OR status = 'cancelling' ORDER BY id`,
    )
    await this.#tellCancelled(rows.filter(({ cancelling }) => cancelling))
    let closed = 0
    for (const { due, id } of rows) {
      if (due === null || !(await this.#close(id, due))) continue
      closed++
      // A hint only: workers know the deadline of what they hold.
      if (due === 'expired') await bus.control({ type: 'cancel-batch', batchId: id }).catch(() => {})
    }
    return closed > 0
  }

  /** The first that holds of a batch says how it ends. */
  #cases(): string {
    const due: Record<FinalStatus, string> = {
      completed: `status = 'in_progress' AND completed + failed = total`,
      expired: `status IN ('validating', 'in_progress') AND expires_at <= now()`,
      cancelled: `status = 'cancelling' AND ${this.#isQuiet()}`,
    }
    return Object.entries(due)
      .map(([status, condition]) => `WHEN ${condition} THEN '${status}'`)
      .join(' ')
  }

  #isQuiet(): string {
    const graceMs = Math.floor(this.#options.cancelGraceMs)
    return `(cancelling_at + ${graceMs} * interval '1 millisecond' <= now() OR NOT EXISTS (
      SELECT 1 FROM chunks c LEFT JOIN chunk_progress p ON p.batch_id = c.batch_id AND p.chunk = c.index
      WHERE c.batch_id = batches.id AND c.status = 'released'
        AND coalesce(p.done, 0) < c.entries AND coalesce(p.returned_attempt, 0) < c.attempt))`
  }

  /** Closes a batch to which this still applies. */
  async #close(id: string, finalStatus: FinalStatus): Promise<boolean> {
    const { db, logger } = this.#options
    const rows = await db.query(
      `UPDATE batches SET closed_at = now(), final_status = $2,
         status = CASE WHEN status = 'cancelling' THEN status ELSE 'finalizing' END,
         finalizing_at = CASE WHEN status = 'cancelling' THEN NULL ELSE now() END,
         claimed_by = NULL, claimed_until = NULL, waiting_for = NULL
       WHERE id = $1 AND closed_at IS NULL AND CASE ${this.#cases()} END = $2 RETURNING id`,
      [id, finalStatus],
    )
    if (rows.length > 0) logger.info({ batchId: id, finalStatus }, 'batch closed')
    return rows.length > 0
  }

  /** Tells the workers of each cancel once: by a blob that lasts, and by the bus for those that run lines of it now. */
  async #tellCancelled(rows: readonly OpenBatch[]): Promise<void> {
    const { blobs, bus, logger } = this.#options
    const open = new Set(rows.map((row) => row.id))
    for (const id of this.#told) if (!open.has(id)) this.#told.delete(id)
    for (const { id, tenantId } of rows) {
      if (this.#told.has(id)) continue
      try {
        const key = blobKeys.cancelled(tenantId, id)
        await blobs.put(key, new Uint8Array())
        for (const store of await this.#otherStores(id)) {
          // Workers there hear of it over the bus, too.
          await store
            .put(key, new Uint8Array())
            .catch((err: unknown) =>
              logger.warn({ batchId: id, reason: describeError(err) }, 'pool not told of a cancel'),
            )
        }
        await bus.control({ type: 'cancel-batch', batchId: id })
        this.#told.add(id)
      } catch (err) {
        logger.warn({ batchId: id, reason: describeError(err) }, 'workers not told of a cancel')
      }
    }
  }

  /** The stores, other than that of the files, of pools that have chunks of the batch. */
  async #otherStores(batchId: string): Promise<BlobStore[]> {
    const { db, pools } = this.#options
    const rows = await db.query<Row & { pool: string }>(
      `SELECT DISTINCT pool FROM chunks WHERE batch_id = $1 AND status = 'released' AND pool IS NOT NULL`,
      [batchId],
    )
    return rows.flatMap(({ pool }) => (pools.knows(pool) && !pools.sharesFileStore(pool) ? [pools.blobs(pool)] : []))
  }
}

/** What closing needs. */
export interface CloserOptions {
  db: Database
  blobs: BlobStore
  pools: Pools
  bus: ReplyBus
  logger: Logger
  /** How long after a cancel requests under way may finish. */
  cancelGraceMs: number
}
