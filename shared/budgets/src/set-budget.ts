import { newId } from '@forebay/kernel'
import type { Database, Queryable } from '@forebay/store'
import { type BudgetRow, selectBudgets } from './budget-book.ts'

/** What a budget is set to. */
export type BudgetWish = Pick<
  BudgetRow,
  'tenant_id' | 'scope' | 'scope_id' | 'period' | 'soft_nano' | 'hard_nano' | 'currency'
>

/** Sets a budget, or the limits of the one of the same scope and period. A new one starts with what the ledger says was spent. */
export function setBudget(db: Database, wish: BudgetWish, nowMs: number): Promise<BudgetRow> {
  return db.tx(async (tx) => {
    // Waits for charges under way: those before are in the ledger then, and those after see the budget.
    await tx.query('LOCK TABLE budgets IN ACCESS EXCLUSIVE MODE')
    const { currency, hard_nano, period, scope, scope_id, soft_nano, tenant_id } = wish
    const [row] = await tx.query<{ id: string }>(
      `INSERT INTO budgets (id, tenant_id, scope, scope_id, period, soft_nano, hard_nano, currency)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
       ON CONFLICT (tenant_id, scope, scope_id, period, currency)
         DO UPDATE SET soft_nano = excluded.soft_nano, hard_nano = excluded.hard_nano RETURNING id`,
      [newId('budget_', nowMs), tenant_id, scope, scope_id, period, soft_nano, hard_nano, currency],
    )
    if (!row) throw new Error('the budget was not set')
    await tx.query(
      `INSERT INTO budget_periods (budget_id, starts_at, spent_nano)
       SELECT b.id, budget_start(b.period, now()), coalesce((SELECT sum(l.amount_nano) FROM ledger l
         WHERE l.tenant_id = b.tenant_id AND l.currency = b.currency AND l.occurred_at >= budget_start(b.period, now())
           AND (b.scope = 'tenant' OR (b.scope = 'key' AND l.api_key_id = b.scope_id)
             OR (b.scope = 'project' AND l.project_id = b.scope_id))), 0)::bigint
       FROM budgets b WHERE b.id = $1 ON CONFLICT DO NOTHING`,
      [row.id],
    )
    return readBudget(tx, row.id)
  })
}

async function readBudget(tx: Queryable, id: string): Promise<BudgetRow> {
  const [row] = await tx.query<BudgetRow>(`${selectBudgets} WHERE b.id = $1`, [id])
  if (!row) throw new Error('the budget is not there')
  return row
}

/** The budgets of a tenant, or all. */
export function listBudgets(db: Queryable, tenantId: string | null): Promise<BudgetRow[]> {
  return db.query<BudgetRow>(`${selectBudgets} WHERE $1::text IS NULL OR b.tenant_id = $1 ORDER BY b.id`, [tenantId])
}
