import { eraseRows } from '@forebay/audit'
import type { Database, Queryable } from '@forebay/store'

/**
 * Empties what the database holds of an ended batch that is a person's: custom ids and body hashes of its audit rows,
 * its metadata, the faults that quote its lines, its idempotency key, the notes of reviews of its answers. `record` is called in the transaction that marks
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
    // What a person wrote of an answer may quote it.
    await tx.query(
      `UPDATE reviews SET note = NULL FROM quality_scores s WHERE s.request_id = reviews.request_id AND s.batch_id = $1`,
      [batch.id],
    )
    await record(tx, rows)
  })
  return rows
}
