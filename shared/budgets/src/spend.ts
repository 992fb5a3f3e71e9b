import type { Queryable } from '@forebay/store'

/** What charges add to one key's budgets, and what they take from one hold. */
export interface Spending {
  tenantId: string
  keyId: string | null
  currency: string
  amountNano: number
  /** When it was charged (epoch ms): which period it belongs to. */
  atMs: number
}

/** Room that a charge had set aside and no longer needs. */
export interface HoldUse {
  id: string
  budgetId: string
  nano: number
}

/**
 * Within the transaction that charges: adds to what the budgets that apply have spent, gives back what was held for
 * it, and tells of each soft limit reached, once per period. Last in its transaction, for it makes others wait.
 */
export async function spendBudgets(
  tx: Queryable,
  options: { spending: readonly Spending[]; batches: ReadonlyMap<string, number>; holds: readonly HoldUse[] },
): Promise<void> {
  const spending = summed(options.spending)
  const locked = await addSpent(tx, spending)
  const [batchIds, batchNanos] = [[...options.batches.keys()], [...options.batches.values()]]
  if (locked || options.holds.length > 0) await giveBack(tx, { batchIds, batchNanos, holds: options.holds })
  if (locked) await tellSoft(tx)
}

/** One row per key, currency and UTC day. */
function summed(spending: readonly Spending[]): Spending[] {
  const sums = new Map<string, Spending>()
  for (const one of spending) {
    const day = Math.floor(one.atMs / 86_400_000)
    const name = JSON.stringify([one.tenantId, one.keyId, one.currency, day])
    const sum = sums.get(name) ?? { ...one, amountNano: 0 }
    sum.amountNano += one.amountNano
    sums.set(name, sum)
  }
  return [...sums.values()]
}

/** Answers whether any budget applied. */
async function addSpent(tx: Queryable, spending: readonly Spending[]): Promise<boolean> {
  if (spending.length === 0) return false
  const rows = await tx.query(
    `INSERT INTO budget_periods (budget_id, starts_at, spent_nano)
     SELECT b.id, budget_start(b.period, s.at), sum(s.nano)::bigint
     FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::float8[]) AS given (tenant, key, currency, nano, ms)
     CROSS JOIN LATERAL (SELECT given.*, to_timestamp(given.ms / 1000) AS at) AS s
     LEFT JOIN api_keys k ON k.id = s.key AND k.tenant_id = s.tenant
     JOIN budgets b ON b.tenant_id = s.tenant AND b.currency = s.currency AND (b.scope = 'tenant'
       OR (b.scope = 'key' AND b.scope_id = s.key)
       OR (b.scope = 'project' AND b.scope_id = coalesce(k.project_id, 'default')))
     GROUP BY 1, 2 ORDER BY 1, 2
     ON CONFLICT (budget_id, starts_at) DO UPDATE SET spent_nano = budget_periods.spent_nano + excluded.spent_nano
     RETURNING budget_id`,
    [
      spending.map((s) => s.tenantId),
      spending.map((s) => s.keyId),
      spending.map((s) => s.currency),
      spending.map((s) => s.amountNano),
      spending.map((s) => s.atMs),
    ],
    { prepare: true },
  )
  return rows.length > 0
}

async function giveBack(
  tx: Queryable,
  options: { batchIds: readonly string[]; batchNanos: readonly number[]; holds: readonly HoldUse[] },
): Promise<void> {
  const { batchIds, batchNanos, holds } = options
  await tx.query(
    `SELECT release_hold(id, budget_id, nano) FROM (
       SELECT id, budget_id, sum(nano)::bigint AS nano FROM (
         SELECT h.id, h.budget_id, b.nano FROM unnest($1::text[], $2::bigint[]) AS b (id, nano) JOIN holds h ON h.id = b.id
         UNION ALL SELECT * FROM unnest($3::text[], $4::text[], $5::bigint[]) AS live (id, budget_id, nano)
       ) AS each_one GROUP BY 1, 2 ORDER BY 2, 1) AS used`,
    [batchIds, batchNanos, holds.map((h) => h.id), holds.map((h) => h.budgetId), holds.map((h) => h.nano)],
  )
}

/** Puts an event into the outbox for each budget whose soft limit was passed by this transaction. */
async function tellSoft(tx: Queryable): Promise<void> {
  await tx.query(
    `WITH reached AS (
       UPDATE budget_periods p SET soft_reached_at = now() FROM budgets b
       WHERE b.id = p.budget_id AND p.soft_reached_at IS NULL AND b.soft_nano IS NOT NULL AND p.spent_nano >= b.soft_nano
       RETURNING b.id, b.tenant_id, b.scope, b.scope_id, b.period, b.soft_nano, b.currency, p.spent_nano, p.starts_at),
     told AS (
       INSERT INTO events (id, tenant_id, type, data)
       SELECT 'evt_' || replace(gen_random_uuid()::text, '-', ''), tenant_id, 'budget.soft_reached', jsonb_build_object(
         'id', id, 'scope', scope, 'scope_id', scope_id, 'period', period, 'starts_at', extract(epoch FROM starts_at)::bigint,
         'soft_nano', soft_nano, 'spent_nano', spent_nano, 'currency', currency)
       FROM reached RETURNING id)
     SELECT pg_notify('forebay_events', '') FROM told`,
  )
}
