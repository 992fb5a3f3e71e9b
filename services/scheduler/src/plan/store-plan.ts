import type { Queryable } from '@forebay/store'
import type { PlanOutcome } from './plan-batch.ts'

/**
 * Within a transaction: the batch's chunks, and the batch in progress. False, with nothing stored, when the batch is no
 * longer validating under this claim.
 */
export async function storePlan(
  tx: Queryable,
  options: { batchId: string; owner: string; pool: string | null; outcome: Extract<PlanOutcome, { valid: true }> },
): Promise<boolean> {
  const { batchId, outcome } = options
  const aliased = outcome.parts.some(({ model }) => model !== outcome.model)
  const moved = await tx.query(
    `UPDATE batches SET status = 'in_progress', in_progress_at = now(), waiting_for = NULL, total = $3, est_tokens = $4, model = $5, pool = $6,
       expected_cached_share = $7, file_order_cached_share = $8, models = $9
     WHERE id = $1 AND claimed_by = $2 AND status = 'validating' AND closed_at IS NULL RETURNING id`,
    [
      ...[batchId, options.owner, outcome.total, outcome.estTokens, outcome.model, options.pool],
      ...[outcome.expectedShare, outcome.fileOrderShare],
      aliased ? outcome.parts.map(({ model }) => model) : null,
    ],
  )
  if (moved.length === 0) return false
  const { firstEntry, entries, estTokens, continues, model } = outcome.chunks
  await tx.query(
    `INSERT INTO chunks (batch_id, index, first_entry, entries, est_tokens, continues, model)
     SELECT $1, c.nth - 1, c.first_entry, c.entries, c.est_tokens, c.continues, c.model
     FROM unnest($2::int[], $3::int[], $4::bigint[], $5::bool[], $6::text[])
       WITH ORDINALITY AS c (first_entry, entries, est_tokens, continues, model, nth)`,
    [batchId, firstEntry, entries, estTokens, continues, aliased ? model : model.map(() => null)],
  )
  await tx.query("SELECT pg_notify('forebay_batches', $1)", [batchId])
  return true
}
