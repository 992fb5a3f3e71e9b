import type { Price } from '@forebay/pricing'
import type { Queryable, Row } from '@forebay/store'

const columns = `prices.id, tenant_id AS "tenantId", model, model_version AS "modelVersion", usage_type AS "usageType", lane,
  nano_per_million AS "nanoPerMillion", currency, (extract(epoch FROM effective_from) * 1000)::float8 AS "fromMs",
  (extract(epoch FROM effective_to) * 1000)::float8 AS "toMs"`

/** Prices, and the database's time at which they were read: that of the transaction's start. */
export interface PricesNow {
  prices: Price[]
  nowMs: number
}

/**
 * The prices that can apply to these tenants and models from `sinceMs` on. Read in the transaction that charges: a
 * price then begins, by the database's time, after every charge that did not see it.
 */
export async function readPrices(
  db: Queryable,
  scope: { tenantIds: readonly string[]; models: readonly string[]; sinceMs: number },
): Promise<PricesNow> {
  const rows = await db.query<Omit<Price, 'id'> & Row & { id: number | null; nowMs: number }>(
    `SELECT ${columns}, "nowMs" FROM (SELECT (extract(epoch FROM now()) * 1000)::float8 AS "nowMs") AS clock
     LEFT JOIN prices ON (tenant_id IS NULL OR tenant_id = ANY ($1)) AND (model = '*' OR model = ANY ($2))
       AND (effective_to IS NULL OR effective_to > least(to_timestamp($3::float8 / 1000), now()))`,
    [scope.tenantIds, scope.models, scope.sinceMs],
    { prepare: true },
  )
  const prices = rows.flatMap(({ nowMs: _, ...row }) => (row.id === null ? [] : [row as Price]))
  return { prices, nowMs: rows[0]?.nowMs ?? scope.sinceMs }
}

/** Every price there ever was. */
export function readAllPrices(db: Queryable): Promise<Price[]> {
  return db.query<Price & Row>(`SELECT ${columns} FROM prices`)
}
