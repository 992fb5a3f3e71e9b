import type { Database } from '@forebay/store'

/**
 * Tells what a claimed batch waits for, or with null that it does not. Nothing when the claim was lost meanwhile. Never
 * rejects: it is said beside another failure.
 */
export async function sayWaiting(
  db: Database,
  options: { batchId: string; owner: string; waitingFor: string | null },
): Promise<void> {
  const said = db.query(
    'UPDATE batches SET waiting_for = $3 WHERE id = $1 AND claimed_by = $2 AND waiting_for IS DISTINCT FROM $3',
    [options.batchId, options.owner, options.waitingFor],
  )
  await said.catch(() => undefined)
}
