import type { Price } from '@forebay/pricing'
import type { Queryable, Row } from '@forebay/store'

const columns = `id, tenant_id AS "tenantId", model, usage_type AS "usageType", lane, nano_per_million AS "nanoPerMillion",
  currency, (extract(epoch FROM effective_from) * 1000)::float8 AS "fromMs",
  (extract(epoch FROM effective_to) * 1000)::float8 AS "toMs"`

/**
 * The prices that can apply to these tenants and models from `sinceMs` on. Read in the transaction that charges, so
 * that a price is in force for every charge from the moment it is committed.
 */
export function readPrices(
  db: Queryable,
  scope: { tenantIds: readonly string[]; models: readonly string[]; sinceMs: number },
): Promise<Price[]> {
  return db.query<Price & Row>(
    `SELECT ${columns} FROM prices
     WHERE (tenant_id IS NULL OR tenant_id = ANY ($1)) AND (model = '*' OR model = ANY ($2))
       AND (effective_to IS NULL OR effective_to > to_timestamp($3::float8 / 1000))`,
    [scope.tenantIds, scope.models, scope.sinceMs],
  )
}

/** Every price there ever was. */
export function readAllPrices(db: Queryable): Promise<Price[]> {
  return db.query<Price & Row>(`SELECT ${columns} FROM prices`)
}
