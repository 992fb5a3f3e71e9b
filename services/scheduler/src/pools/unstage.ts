import { blobKeys } from '@forebay/contracts'
import { describeError, type Logger } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import type { Database, Row } from '@forebay/store'

const perRun = 50

/** Deletes the copies of chunks that are done, or whose batch is closed, from the pools' stores. A few at a time; true when there is more. */
export async function unstage(options: { db: Database; pools: Pools; logger: Logger }): Promise<boolean> {
  const { db, logger, pools } = options
  // What lies in a store that does not answer waits; a store whose pool is no longer configured is its owner's to empty.
  const away = pools
    .list()
    .filter(({ name }) => pools.trouble(name))
    .map(({ name }) => name)
  const due = await db.query<Row & { batchId: string; index: number; tenantId: string; pool: string }>(
    `SELECT c.batch_id AS "batchId", c.index, b.tenant_id AS "tenantId", s.pool
     FROM chunks c JOIN batches b ON b.id = c.batch_id, unnest(c.staged_in) AS s (pool)
     WHERE c.staged_in <> '{}' AND (c.status = 'done' OR b.closed_at IS NOT NULL) AND s.pool <> ALL ($1) LIMIT ${perRun}`,
    [away],
  )
  let failed = 0
  for (const { batchId, index, pool, tenantId } of due) {
    try {
      if (pools.knows(pool)) await pools.blobs(pool).deletePrefix(blobKeys.stagedChunk(tenantId, batchId, index))
      await db.query('UPDATE chunks SET staged_in = array_remove(staged_in, $3) WHERE batch_id = $1 AND index = $2', [
        batchId,
        index,
        pool,
      ])
    } catch (err) {
      failed++
      logger.warn({ batchId, chunk: index, pool, reason: describeError(err) }, 'copy of a chunk not deleted')
    }
  }
  return due.length === perRun && failed === 0
}
