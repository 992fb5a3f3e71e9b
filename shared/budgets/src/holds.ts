import { ForebayError } from '@forebay/kernel'
import type { Database, Queryable, Row } from '@forebay/store'
import { type BudgetRow, selectBudgets } from './budget-book.ts'

/** What take_hold answers. */
export interface Granted extends Row {
  granted: number
  room: number | null
}

/** Sets room aside in one budget. Lasts `lastsMs` by the database's time. */
export async function takeHold(
  db: Queryable,
  hold: { budgetId: string; id: string; wantNano: number; leastNano: number; lastsMs: number },
): Promise<Granted> {
  const [row] = await db.query<Granted>(
    `SELECT granted, room FROM take_hold($1, $2, $3, $4, $5 * interval '1 millisecond')`,
    [hold.budgetId, hold.id, hold.wantNano, hold.leastNano, hold.lastsMs],
  )
  return row ?? { granted: 0, room: null }
}

/**
 * Within a transaction: holds a batch's estimate in every hard budget that applies to its key; what it held before is
 * given back first. Throws `insufficient_quota`, which rolls the transaction back, when it does not fit.
 */
export async function holdForBatch(
  tx: Queryable,
  batch: { id: string; tenantId: string; keyId: string; estimateNano: number; currency: string; expiresAt: Date },
): Promise<void> {
  await releaseBatchHolds(tx, batch.id)
  if (batch.estimateNano <= 0) return
  const budgets = await tx.query<BudgetRow>(
    `${selectBudgets} WHERE b.tenant_id = $1 AND b.hard_nano IS NOT NULL AND b.currency = $3
       AND (b.scope = 'tenant' OR (b.scope = 'key' AND b.scope_id = $2) OR (b.scope = 'project' AND b.scope_id =
         coalesce((SELECT project_id FROM api_keys WHERE id = $2 AND tenant_id = $1), 'default')))
     ORDER BY b.id`,
    [batch.tenantId, batch.keyId, batch.currency],
  )
  for (const budget of budgets) {
    const [row] = await tx.query<Granted>(
      // A day past its window: by then every result is in.
      `SELECT granted, room FROM take_hold($1, $2, $3, $3, $4::timestamptz - now() + interval '1 day')`,
      [budget.id, batch.id, batch.estimateNano, batch.expiresAt],
    )
    if ((row?.granted ?? 0) >= batch.estimateNano) continue
    throw new ForebayError('insufficient_quota', refusal(budget, batch.estimateNano, row?.room ?? 0, 'This batch'))
  }
}

/** Gives back all that a batch still holds. Safe to repeat. */
export async function releaseBatchHolds(tx: Queryable, batchId: string): Promise<void> {
  await tx.query(
    `SELECT release_hold(id, budget_id, amount_nano) FROM
       (SELECT id, budget_id, amount_nano FROM holds WHERE id = $1 ORDER BY budget_id) AS own`,
    [batchId],
  )
}

/** Gives back what holds that are past their time, by the database's, have left, and those of ended batches. Answers how many. */
export async function sweepHolds(db: Database): Promise<number> {
  const rows = await db.query(
    `SELECT release_hold(id, budget_id, amount_nano) FROM
       (SELECT h.id, h.budget_id, h.amount_nano FROM holds h LEFT JOIN batches b ON b.id = h.id
        WHERE h.expires_at <= now() OR b.status IN ('completed', 'failed', 'expired', 'cancelled')
        ORDER BY h.budget_id, h.starts_at, h.id LIMIT 1000) AS due`,
  )
  return rows.length
}

/** Why something does not fit a budget, and the way out. */
export function refusal(budget: BudgetRow, needNano: number, roomNano: number, what: string): string {
  const amount = (nano: number) => `${(Math.max(0, nano) / 1e9).toFixed(9).replace(/0{1,7}$/, '')} ${budget.currency}`
  const { period, scope, scope_id: id } = budget
  const when = period === 'total' ? 'in all' : `a ${period}`
  return (
    `You exceeded your current quota: ${what} may cost up to ${amount(needNano)}, and the budget of ${scope} '${id}' ` +
    `(${amount(budget.hard_nano ?? 0)} ${when}) has ${amount(roomNano)} left. ` +
    'Ask for fewer tokens (max_tokens), wait for the next period, or have the budget raised (PUT /admin/budgets).'
  )
}
