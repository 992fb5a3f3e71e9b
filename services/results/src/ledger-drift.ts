import type { InferenceEndpoint, Lane } from '@forebay/contracts'
import { chargeFor } from '@forebay/pricing'
import type { Queryable, Row } from '@forebay/store'
import { readAllPrices } from './price-book.ts'

export interface LedgerDrift {
  /** Charged requests and usage entries looked at. */
  entries: number
  /** Σ |ledger − recomputed| in nano-units, so that errors in both directions do not cancel out; 0 when all is right. */
  driftNano: number
  /** Charged requests without a usage entry, and usage entries without such a request. */
  unmatched: number
}

interface Entry extends Row {
  id: string
  tenantId: string
  endpoint: InferenceEndpoint
  model: string
  lane: Lane
  atMs: number
  promptTokens: number
  cachedTokens: number | null
  completionTokens: number
  reasoningTokens: number
  amountNano: number | null
}

const pageRows = 5_000

/**
 * Computes every usage entry anew from its audit row and the prices in force when the request finished, and compares.
 * A price changed in retrospect shows as drift. Reads in pages: constant memory.
 */
export async function ledgerDrift(db: Queryable): Promise<LedgerDrift> {
  const prices = await readAllPrices(db)
  const orphans = await db.query<{ entries: number; nano: number }>(
    `SELECT count(*)::int AS entries, coalesce(sum(abs(amount_nano)), 0)::bigint AS nano FROM ledger
     WHERE kind = 'usage' AND NOT EXISTS
       (SELECT FROM requests WHERE requests.id = ledger.request_id AND outcome <> 'failed')`,
  )
  const drift: LedgerDrift = {
    entries: orphans[0]?.entries ?? 0,
    driftNano: orphans[0]?.nano ?? 0,
    unmatched: orphans[0]?.entries ?? 0,
  }
  for (let after = ''; ; ) {
    const page = await readPage(db, after)
    for (const entry of page) {
      const { amountNano } = chargeFor({ ...entry, usage: entry, prices })
      drift.entries++
      drift.driftNano += Math.abs((entry.amountNano ?? 0) - amountNano)
      if (entry.amountNano === null) drift.unmatched++
    }
    const last = page.at(-1)
    if (last === undefined) return drift
    after = last.id
  }
}

function readPage(db: Queryable, after: string): Promise<Entry[]> {
  return db.query<Entry>(
    `SELECT r.id, r.tenant_id AS "tenantId", r.endpoint, r.model, r.lane,
       (extract(epoch FROM r.finished_at) * 1000)::float8 AS "atMs",
       r.prompt_tokens AS "promptTokens", r.cached_tokens AS "cachedTokens",
       r.completion_tokens AS "completionTokens", r.reasoning_tokens AS "reasoningTokens",
       l.amount_nano AS "amountNano"
     FROM requests r LEFT JOIN ledger l ON l.request_id = r.id AND l.kind = 'usage'
     WHERE r.id > $1 AND r.outcome <> 'failed' ORDER BY r.id LIMIT ${pageRows}`,
    [after],
  )
}
