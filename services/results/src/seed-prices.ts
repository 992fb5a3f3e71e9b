import type { Queryable } from '@forebay/store'

// $0.15 and $0.60 per million tokens; the batch lane at half.
const defaults = [
  { usageType: 'input', lane: null, nanoPerMillion: 150_000_000 },
  { usageType: 'output', lane: null, nanoPerMillion: 600_000_000 },
  { usageType: 'input', lane: 'batch', nanoPerMillion: 75_000_000 },
  { usageType: 'output', lane: 'batch', nanoPerMillion: 300_000_000 },
] as const

/**
 * Fills an empty price book with one price for every model, in force since ever; a book with any price in it is left
 * alone. Safe to call from several processes at once. Answers whether it did.
 */
export async function seedPrices(db: Queryable): Promise<boolean> {
  const rows = await db.query(
    `INSERT INTO prices (model, usage_type, lane, nano_per_million, effective_from)
     SELECT '*', usage_type, lane, nano, to_timestamp(0)
     FROM unnest($1::text[], $2::text[], $3::bigint[]) AS rows (usage_type, lane, nano)
     WHERE NOT EXISTS (SELECT FROM prices)
     ON CONFLICT DO NOTHING RETURNING id`,
    [defaults.map((d) => d.usageType), defaults.map((d) => d.lane), defaults.map((d) => d.nanoPerMillion)],
  )
  return rows.length > 0
}
