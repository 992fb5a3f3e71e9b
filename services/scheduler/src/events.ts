import { type Clock, newId } from '@forebay/kernel'
import type { Queryable } from '@forebay/store'

/** Puts a batch's end into the outbox, within the transaction that ends it. */
export async function recordBatchEvent(
  tx: Queryable,
  clock: Clock,
  batch: { id: string; tenantId: string },
  status: 'completed' | 'failed' | 'expired' | 'cancelled',
): Promise<void> {
  await tx.query('INSERT INTO events (id, tenant_id, type, data) VALUES ($1, $2, $3, $4)', [
    newId('evt_', clock.now()),
    batch.tenantId,
    `batch.${status}`,
    JSON.stringify({ id: batch.id }),
  ])
  await tx.query("SELECT pg_notify('forebay_events', '')")
  await tx.query("SELECT pg_notify('forebay_batches', $1)", [batch.id])
}
