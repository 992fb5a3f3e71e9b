import { ForebayError } from '@forebay/kernel'
import type { Database, Queryable, Row } from '@forebay/store'

/** A correction of what was charged: a new entry, for the old ones stay as they are. */
export interface Correction {
  /** Of the correction; the same id is written once. */
  id: string
  /** `adjustment`: of the entry it names, either way. `credit`: given to a tenant, with or without an entry. */
  kind: 'adjustment' | 'credit'
  /** The entry that it corrects. */
  entryId: number | null
  /** Whose, when no entry is named. */
  tenantId: string | null
  projectId: string | null
  /** Added to what was charged: negative for a credit. */
  amountNano: number
  /** Of the price book's currencies; that of the entry when one is named. */
  currency: string
  reason: string
}

interface Original extends Row {
  tenant_id: string
  kind: string
  currency: string
  net: number
}

/**
 * Writes a correction and answers its entry's id. Throws `not_found` for an entry that is not there, `invalid_value`
 * for a correction that would take more off an entry than it has, `idempotency_mismatch` when the same id was used
 * for another correction.
 */
export function correctEntry(db: Database, correction: Correction): Promise<number> {
  return db.tx(async (tx) => {
    const { amountNano, entryId, id, kind, projectId, reason } = correction
    const known = await findWritten(tx, correction)
    if (known !== undefined) return known
    const original = entryId === null ? undefined : await lockOriginal(tx, entryId, amountNano)
    const currency = original?.currency ?? correction.currency
    const rows = await tx.query<Row & { id: number }>(
      `INSERT INTO ledger (request_id, kind, tenant_id, project_id, api_key_id, batch_id, model, model_version, lane, pool,
         prompt_tokens, completion_tokens, reasoning_tokens, amount_nano, currency, price_ids, occurred_at, corrects, reason)
       SELECT $1, $2, coalesce(l.tenant_id, $3), coalesce(l.project_id, $4, 'default'), l.api_key_id, l.batch_id, l.model,
         l.model_version, l.lane, l.pool, 0, 0, 0, $5, $6, '{}', now(), l.id, $7
       FROM (SELECT 1) AS one LEFT JOIN ledger l ON l.id = $8
       ON CONFLICT (request_id, kind) DO NOTHING RETURNING id`,
      [id, kind, correction.tenantId, projectId, amountNano, currency, reason, entryId],
    )
    const written = rows[0]?.id ?? (await findWritten(tx, correction))
    if (written === undefined) throw new Error('the correction was not written')
    return written
  })
}

async function findWritten(tx: Queryable, correction: Correction): Promise<number | undefined> {
  const [row] = await tx.query<Row & { id: number; same: boolean }>(
    `SELECT id, amount_nano = $3 AND corrects IS NOT DISTINCT FROM $4 AND reason = $5 AS same
     FROM ledger WHERE request_id = $1 AND kind = $2`,
    [correction.id, correction.kind, correction.amountNano, correction.entryId, correction.reason],
  )
  if (row?.same === false) {
    throw new ForebayError('idempotency_mismatch', 'This Idempotency-Key was used for another correction.')
  }
  return row?.id
}

async function lockOriginal(tx: Queryable, entryId: number, amountNano: number): Promise<Original> {
  // One correction of an entry at a time, so that together they cannot take too much off it.
  await tx.query('SELECT FROM ledger WHERE id = $1 FOR UPDATE', [entryId])
  const [original] = await tx.query<Original>(
    `SELECT tenant_id, kind, currency, (amount_nano + (SELECT coalesce(sum(c.amount_nano), 0) FROM ledger c
       WHERE c.corrects = ledger.id))::bigint AS net FROM ledger WHERE id = $1`,
    [entryId],
  )
  if (!original) throw new ForebayError('not_found', `The ledger has no entry ${entryId}.`, { param: 'entry' })
  if (original.kind !== 'usage' && original.kind !== 'cache_hit') {
    const text = `Entry ${entryId} is of the kind '${original.kind}': only charges can be corrected.`
    throw new ForebayError('invalid_value', text, { param: 'entry' })
  }
  if (original.net + amountNano < 0) {
    const text = `Entry ${entryId} has ${original.net} nano-units left: ${-amountNano} cannot be taken off it.`
    throw new ForebayError('invalid_value', text, { param: 'amount_nano' })
  }
  return original
}
