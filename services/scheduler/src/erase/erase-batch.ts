import { eraseRows } from '@forebay/audit'
import type { Database, Queryable } from '@forebay/store'

/**
 * Empties what the database holds of an ended batch that is a person's: custom ids and body hashes of its audit rows,
 * its metadata, the faults that quote its lines, its idempotency key. `record` is called in the transaction that marks
 * it done, with how many rows were emptied. Safe to repeat. Answers that number.
 */
export async function eraseBatchRow(
  db: Database,
  batch: { id: string; tenantId: string },
  record: (tx: Queryable, rows: number) => Promise<void> = async () => {},
): Promise<number> {
  const rows = await eraseRows(db, { tenantId: batch.tenantId, batchId: batch.id })
  await db.tx(async (tx) => {
    await tx.query(
      `UPDATE batches SET metadata = NULL, errors = NULL, idempotency_key = NULL, request_hash = NULL,
         erased_at = coalesce(erased_at, now()) WHERE id = $1 AND tenant_id = $2`,
      [batch.id, batch.tenantId],
    )
    await record(tx, rows)
  })
  return rows
}
