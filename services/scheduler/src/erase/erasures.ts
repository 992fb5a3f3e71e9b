import { eraseRows, recordAuditEvent } from '@forebay/audit'
import type { BlobStore } from '@forebay/blobs'
import { blobKeys } from '@forebay/contracts'
import { type Clock, describeError, type Logger, newId } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import type { Database, Row } from '@forebay/store'
import { eraseEndUser, eraseLiveOfEndUser } from './end-user.ts'
import { eraseBatchRow } from './erase-batch.ts'
import { eraseLiveContent } from './live-content.ts'
import { type Erasure, filesKept, filesToErase, selectedBatches, stopBatches } from './selection.ts'
import { deleteBodies, dropExpiredRequests } from './waiting-jobs.ts'

/* pending ─▶ running ─▶ completed. Each step finds out from the tables what is left to do: after a crash, or beside a
   replica that took it over, it goes on where it was. What it has to wait for stands in `waiting_for`. */

const perPage = 50
/** Between two looks at what takes its time and costs some to look at. */
const slowSeconds = 15
const liveMsMax = 3_600_000
const claimed = `now() + interval '2 minutes'`

/** What erasing needs. */
export interface EraseOptions {
  db: Database
  blobs: BlobStore
  pools: Pools
  clock: Clock
  logger: Logger
}

/** Works on the oldest erasure that is open and not waiting. True when there was one. */
export async function runErasures(options: EraseOptions, signal: AbortSignal): Promise<boolean> {
  const { db, logger } = options
  const [erasure] = await db.query<Erasure>(
    `UPDATE erasures SET status = 'running', claimed_until = ${claimed} WHERE id = (
       SELECT id FROM erasures WHERE status <> 'completed' AND (claimed_until IS NULL OR claimed_until <= now())
       ORDER BY claimed_until NULLS FIRST, created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
     RETURNING id, tenant_id AS "tenantId", selector, target, requested_by AS "requestedBy",
       (extract(epoch FROM created_at) * 1000)::float8 AS "createdAtMs"`,
  )
  if (!erasure) return false
  const wait = (waitingFor: string | null, seconds: number) =>
    db.query(
      `UPDATE erasures SET waiting_for = $2, claimed_until = now() + $3 * interval '1 second' WHERE id = $1 AND status = 'running'`,
      [erasure.id, waitingFor, seconds],
    )
  try {
    const waiting = await erase(options, erasure, signal)
    if (waiting) await wait(waiting.for, waiting.seconds)
  } catch (err) {
    if (!signal.aborted)
      logger.warn({ erasureId: erasure.id, reason: describeError(err) }, 'erasure not done; tried again')
    await wait(signal.aborted ? null : `another try: ${describeError(err)}`, signal.aborted ? 0 : 5)
  }
  return true
}

/** Erases as much as can be; answers what it waits for and when to look again, undefined when all is done. */
async function erase(
  options: EraseOptions,
  erasure: Erasure,
  signal: AbortSignal,
): Promise<{ for: string; seconds: number } | undefined> {
  const { db } = options
  const running = await stopBatches(db, erasure.id)
  if (running > 0) return { for: `${running} ${running === 1 ? 'batch' : 'batches'} to come to an end`, seconds: 1 }
  const keep = async () => {
    signal.throwIfAborted()
    await db.query(`UPDATE erasures SET waiting_for = NULL, claimed_until = ${claimed} WHERE id = $1`, [erasure.id])
  }
  for (;;) {
    await keep()
    const files = await filesToErase(db, erasure.id, perPage)
    if (files.length === 0) break
    for (const file of files) await eraseFile(options, erasure, file)
  }
  for (;;) {
    await keep()
    const batches = await selectedBatches(db, erasure.id, { after: '', unerased: true, limit: perPage })
    if (batches.length === 0) break
    for (const batch of batches) await eraseBatch(options, erasure, batch)
  }
  const { selector, target, tenantId } = erasure
  if (selector === 'end_user') {
    const waitingFor = await eraseEndUser(options, erasure, keep)
    if (waitingFor !== undefined) return { for: waitingFor, seconds: slowSeconds }
  }
  if (selector === 'key' || selector === 'tenant') {
    await eraseLiveContent(options, { tenantId, apiKeyId: selector === 'key' ? target : undefined })
    const rows = await eraseRows(db, { tenantId, apiKeyId: selector === 'key' ? target : undefined })
    await db.query('UPDATE erasures SET requests = requests + $2 WHERE id = $1', [erasure.id, rows])
  }
  if (selector === 'tenant') await emptyTenant(options, tenantId)
  const waiting = holdsLive(erasure) ? await eraseFromQueues(options, erasure) : 0
  if (waiting > 0) {
    return { for: `${waiting} live ${waiting === 1 ? 'request' : 'requests'} to run`, seconds: slowSeconds }
  }
  await finish(options, erasure)
  return undefined
}

/** Whether live requests are among what it erases. */
function holdsLive({ selector }: Erasure): boolean {
  return selector === 'key' || selector === 'tenant' || selector === 'end_user'
}

/** Drops what lies on queues and beside them without being of use to anybody; answers how many of its requests still wait to run. */
async function eraseFromQueues(options: EraseOptions, erasure: Erasure): Promise<number> {
  const { createdAtMs, selector, target, tenantId } = erasure
  // No live request may take longer.
  await deleteBodies(options, { tenantId, beforeMs: options.clock.now() - liveMsMax })
  return dropExpiredRequests(options, (job) => {
    if (job.tenantId !== tenantId || job.acceptedAtMs > createdAtMs) return false
    return selector === 'tenant' || target === (selector === 'key' ? job.apiKeyId : job.endUser)
  })
}

async function eraseFile({ blobs, db }: EraseOptions, erasure: Erasure, file: { id: string; blobKey: string }) {
  await blobs.delete(file.blobKey)
  await db.query(
    `WITH erased AS (UPDATE files SET deleted_at = coalesce(deleted_at, now()), filename = 'erased', sha256 = ''
       WHERE id = $2 AND (deleted_at IS NULL OR filename <> 'erased') RETURNING 1)
     UPDATE erasures SET files = files + (SELECT count(*) FROM erased) WHERE id = $1`,
    [erasure.id, file.id],
  )
}

async function eraseBatch(options: EraseOptions, erasure: Erasure, batch: { id: string; tenantId: string }) {
  const { blobs, db, pools } = options
  await deleteBlobs(options, batch)
  // Jobs of it may still be on a queue: without its lines a worker would only fail them, one by one.
  for (const store of [blobs, ...otherStores(pools)]) {
    await store.put(blobKeys.cancelled(batch.tenantId, batch.id), new Uint8Array())
  }
  await eraseBatchRow(db, batch, async (tx, rows) => {
    await tx.query('DELETE FROM chunk_progress WHERE batch_id = $1', [batch.id])
    await tx.query('DELETE FROM chunks WHERE batch_id = $1', [batch.id])
    await tx.query('UPDATE batches SET answer_check = NULL WHERE id = $1', [batch.id])
    await tx.query(
      `UPDATE reviews SET note = NULL WHERE request_id IN (SELECT request_id FROM quality_scores WHERE batch_id = $1)`,
      [batch.id],
    )
    await tx.query('UPDATE erasures SET batches = batches + 1, requests = requests + $2 WHERE id = $1', [
      erasure.id,
      rows,
    ])
  })
}

/** Deletes a batch's plan, parts and copies, in every store that may have any. */
async function deleteBlobs({ blobs, pools }: EraseOptions, batch: { id: string; tenantId: string }): Promise<void> {
  const prefix = `tenants/${batch.tenantId}/batches/${batch.id}/`
  for (const store of [blobs, ...otherStores(pools)]) await store.deletePrefix(prefix)
}

function otherStores(pools: Pools): BlobStore[] {
  return pools.list().flatMap(({ name }) => (pools.sharesFileStore(name) ? [] : [pools.blobs(name)]))
}

/** Deletes what lies under the tenant's prefix without any row that knows of it, when nothing newer lies there. */
async function emptyTenant({ blobs, db, pools }: EraseOptions, tenantId: string): Promise<void> {
  const newer = await db.query(
    `SELECT 1 FROM files WHERE tenant_id = $1 AND deleted_at IS NULL
     UNION ALL SELECT 1 FROM batches WHERE tenant_id = $1 AND erased_at IS NULL LIMIT 1`,
    [tenantId],
  )
  if (newer.length > 0) return
  for (const store of [blobs, ...otherStores(pools)]) await store.deletePrefix(`tenants/${tenantId}/files/`)
}

async function finish({ clock, db, logger }: EraseOptions, erasure: Erasure): Promise<void> {
  const { id, requestedBy, selector, target, tenantId } = erasure
  const kept = await filesKept(db, id)
  const done = await db.tx(async (tx) => {
    const [row] = await tx.query<Row & { files: number; batches: number; requests: number }>(
      `UPDATE erasures SET status = 'completed', completed_at = now(), waiting_for = NULL, claimed_until = NULL, kept_files = $2
       WHERE id = $1 AND status = 'running' RETURNING files, batches, requests`,
      [id, kept],
    )
    if (!row) return undefined
    await tx.query('SELECT flush_cache($1, NULL)', [tenantId])
    // Who has the tenant's key could test a guess of whom a hash stands for; the log keeps it for ever.
    const named = selector === 'end_user' ? {} : { target }
    const data = { erasure: id, selector, ...named, ...row, requested_by: requestedBy }
    const event = { id: newId('aev_', clock.now()), tenantId, action: 'erasure', actor: requestedBy } as const
    await recordAuditEvent(tx, { ...event, data })
    return row
  })
  if (done) logger.info({ erasureId: id, tenantId, selector, ...done }, 'content erased')
}

/**
 * Two hours after an erasure, deletes again what a worker that was cut off brought late to its batches, the marks that
 * kept workers away from them, and what was left of live requests on queues and beside them; an end user's hash is
 * forgotten then. A few erasures at a time; true when there was one.
 */
export async function sweepErased(options: EraseOptions): Promise<boolean> {
  const { db } = options
  const [erasure] = await db.query<Erasure>(
    `SELECT id, tenant_id AS "tenantId", selector, target, requested_by AS "requestedBy",
       (extract(epoch FROM created_at) * 1000)::float8 AS "createdAtMs" FROM erasures WHERE completed_at <= now() - interval '2 hours' AND swept_again_at IS NULL
     ORDER BY completed_at LIMIT 1`,
  )
  if (!erasure) return false
  for (let after = ''; ; ) {
    const batches = await selectedBatches(db, erasure.id, { after, unerased: false, limit: perPage })
    for (const batch of batches) await deleteBlobs(options, batch)
    const last = batches.at(-1)
    if (!last) break
    after = last.id
  }
  if (erasure.selector === 'end_user') await eraseLiveOfEndUser(options, erasure)
  if (holdsLive(erasure)) await eraseFromQueues(options, erasure)
  await db.query(
    `UPDATE erasures SET swept_again_at = now(), target = CASE selector WHEN 'end_user' THEN 'erased' ELSE target END
     WHERE id = $1`,
    [erasure.id],
  )
  return true
}
