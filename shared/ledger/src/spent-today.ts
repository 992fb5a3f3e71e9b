import type { Queryable, Row } from '@forebay/store'

/** What the ledger holds of this UTC day for each of these pools, in nano-units of its currency; a pool without entries is not in it. */
export async function spentToday(db: Queryable, pools: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (pools.length === 0) return new Map()
  const rows = await db.query<{ pool: string; nano: number } & Row>(
    `SELECT pool, sum(amount_nano)::bigint AS nano FROM ledger
     WHERE occurred_at >= date_trunc('day', now(), 'UTC') AND pool = ANY ($1) GROUP BY pool`,
    [pools],
  )
  return new Map(rows.map(({ nano, pool }) => [pool, nano]))
}
