import type { Queryable, Row } from '@forebay/store'

/** Which kinds of work there are to do. */
export interface Sighted {
  /** A batch to plan that nobody holds. */
  plan: boolean
  /** A batch whose lines run or may still run: to release, or to close. */
  open: boolean
  /** A closed batch that nobody finalises. */
  finalise: boolean
  /** An erasure to work on. */
  erase: boolean
}

/**
 * Looks for work of every kind in one statement, so that a scheduler without work asks no more than that each second.
 * What is notified is found sooner; what was notified while nobody listened, or comes due by time alone, is found here.
 */
export async function lookOut(db: Queryable): Promise<Sighted> {
  const [sighted] = await db.query<Row & Sighted>(
    `SELECT coalesce(bool_or(closed_at IS NULL AND status = 'validating' AND free), false) AS plan,
       coalesce(bool_or(closed_at IS NULL AND status <> 'finalizing'), false) AS open,
       coalesce(bool_or(closed_at IS NOT NULL AND status IN ('finalizing', 'cancelling') AND free), false) AS finalise,
       EXISTS (SELECT FROM erasures WHERE status <> 'completed' AND (claimed_until IS NULL OR claimed_until <= now())) AS erase
     FROM (SELECT status, closed_at, claimed_until IS NULL OR claimed_until < now() AS free FROM batches
       WHERE status IN ('validating', 'in_progress', 'finalizing', 'cancelling')) AS live`,
  )
  return sighted ?? { plan: true, open: true, finalise: true, erase: true }
}
