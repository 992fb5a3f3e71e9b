import { type Clock, describeError, eitherSignal, ForebayError, type Logger } from '@forebay/kernel'
import type { Database } from '@forebay/store'
import { type BatchRow, batchColumns } from './batch-row.ts'

/** Which batches a claim is for: those to plan (with an input of at most `bytesMax`), or those to finalise. */
export type ClaimKind = { to: 'plan'; bytesMax: number } | { to: 'finalise' }

/** Runs the work on a claimed batch. `owner` guards its final statement; the signal aborts when the claim is lost or the process stops. */
export type ClaimedWork = (batch: BatchRow, owner: string, signal: AbortSignal) => Promise<void>

/**
 * Claims the oldest such batch that nobody holds, and runs `work` on it. The claim is renewed while the work runs and
 * taken over by another replica when it lapses, by database time. Work that throws gives the batch back after
 * `retryMs`. Returns false when there was nothing to claim.
 */
export async function workOnClaim(options: {
  db: Database
  clock: Clock
  logger: Logger
  kind: ClaimKind
  /** Unique to this claim. */
  owner: string
  claimMs: number
  retryMs: number
  signal: AbortSignal
  work: ClaimedWork
}): Promise<boolean> {
  const { db, clock, logger, owner, claimMs } = options
  const batch = await claim(db, options.kind, owner, claimMs)
  if (!batch) return false
  const lost = new AbortController()
  const { release, signal } = eitherSignal(lost.signal, options.signal)
  const stopRenewing = clock.every(claimMs / 3, () => {
    renew(db, batch.id, owner, claimMs).then(
      (held) => !held && lost.abort(new ForebayError('lease_lost', `Another process works on batch ${batch.id}.`)),
      (err: unknown) => logger.warn({ batchId: batch.id, reason: describeError(err) }, 'claim not renewed'),
    )
  })
  let backMs = 0
  try {
    await options.work(batch, owner, signal)
  } catch (err) {
    if (!options.signal.aborted) {
      backMs = options.retryMs
      logger.warn({ batchId: batch.id, to: options.kind.to, reason: describeError(err) }, 'batch put back')
    }
  } finally {
    stopRenewing()
    release()
  }
  await giveBack(db, batch.id, owner, backMs)
  return true
}

async function claim(db: Database, kind: ClaimKind, owner: string, claimMs: number): Promise<BatchRow | undefined> {
  const open =
    kind.to === 'plan'
      ? `b.status = 'validating' AND b.closed_at IS NULL AND b.expires_at > now() AND f.bytes <= ${Math.floor(kind.bytesMax)}`
      : `b.status IN ('finalizing', 'cancelling') AND b.closed_at IS NOT NULL`
  const [row] = await db.query<BatchRow>(
    `WITH next AS (
       SELECT b.id FROM batches b JOIN files f ON f.id = b.input_file_id
       WHERE ${open} AND (b.claimed_until IS NULL OR b.claimed_until < now())
       ORDER BY b.created_at LIMIT 1 FOR UPDATE OF b SKIP LOCKED)
     UPDATE batches b SET claimed_by = $1, claimed_until = now() + $2 * interval '1 millisecond'
     FROM next, files f WHERE b.id = next.id AND f.id = b.input_file_id RETURNING ${batchColumns}`,
    [owner, claimMs],
  )
  return row
}

async function renew(db: Database, batchId: string, owner: string, claimMs: number): Promise<boolean> {
  const rows = await db.query(
    `UPDATE batches SET claimed_until = now() + $3 * interval '1 millisecond' WHERE id = $1 AND claimed_by = $2 RETURNING id`,
    [batchId, owner, claimMs],
  )
  return rows.length > 0
}

async function giveBack(db: Database, batchId: string, owner: string, afterMs: number): Promise<void> {
  await db.query(
    `UPDATE batches SET claimed_by = NULL, claimed_until = now() + $3 * interval '1 millisecond'
     WHERE id = $1 AND claimed_by = $2`,
    [batchId, owner, afterMs],
  )
}
