import { type AnswerSource, checkFailedCode, type InferenceEndpoint, type Lane } from '@forebay/contracts'
import { chargeFor, ledgerKindOf } from '@forebay/pricing'
import type { Queryable, Row } from '@forebay/store'
import { readAllPrices } from './price-book.ts'

/** What the ledger holds against what it should hold, of one tenant or of all. */
export interface Drift {
  /** Charged requests and entries for requests looked at. */
  entries: number
  /** Σ of the entries, in nano-units. */
  ledgerNano: number
  /** Σ of the same, computed anew. */
  recomputedNano: number
  /** Σ |ledger − recomputed| in nano-units, so that errors in both directions do not cancel out; 0 when all is right. */
  driftNano: number
  /** Charged requests without an entry, and entries without such a request. */
  unmatched: number
}

/** The drift of the whole ledger, and of each tenant that has any entry. */
export interface LedgerDrift extends Drift {
  tenants: ({ tenantId: string } & Drift)[]
}

interface Entry extends Row {
  id: string
  born: string
  tenantId: string
  endpoint: InferenceEndpoint
  model: string
  modelVersion: string | null
  lane: Lane
  source: AnswerSource
  atMs: number
  promptTokens: number
  cachedTokens: number | null
  completionTokens: number
  reasoningTokens: number
  kind: string | null
  amountNano: number | null
}

// As isCharged.
const charged = `(outcome <> 'failed' OR error_code = '${checkFailedCode}')`
const pageRows = 5_000

/**
 * Computes the charge of every request anew from its audit row and the prices in force when it finished, and compares
 * it with the ledger's entry. Corrections and idle time are no charges and stay out, as do entries whose audit rows
 * were removed by retention. Reads in pages: constant memory, and no lock that a new price would wait for.
 */
export async function ledgerDrift(db: Queryable, signal?: AbortSignal): Promise<LedgerDrift> {
  const tenants = new Map<string, Drift>()
  const of = (tenantId: string): Drift => {
    const drift = tenants.get(tenantId) ?? { ...nothing }
    tenants.set(tenantId, drift)
    return drift
  }
  for (const orphan of await readOrphans(db)) {
    const drift = of(orphan.tenantId)
    drift.entries += orphan.entries
    drift.unmatched += orphan.entries
    drift.ledgerNano += orphan.nano
    drift.driftNano += orphan.absoluteNano
  }
  for (let after = { born: '-infinity', id: '' }; ; ) {
    signal?.throwIfAborted()
    const page = await readPage(db, after)
    // After the page: every price that was applied in it is there, and one that is new begins later.
    const prices = await readAllPrices(db)
    for (const entry of page) {
      const { amountNano } = chargeFor({ ...entry, usage: entry, prices })
      const drift = of(entry.tenantId)
      drift.entries++
      drift.ledgerNano += entry.amountNano ?? 0
      drift.recomputedNano += amountNano
      drift.driftNano += Math.abs((entry.amountNano ?? 0) - amountNano)
      if (entry.kind !== ledgerKindOf(entry.source)) drift.unmatched++
    }
    const last = page.at(-1)
    if (last === undefined) return summed(tenants)
    after = last
  }
}

const nothing: Drift = { entries: 0, ledgerNano: 0, recomputedNano: 0, driftNano: 0, unmatched: 0 }

function summed(tenants: ReadonlyMap<string, Drift>): LedgerDrift {
  const total: LedgerDrift = { ...nothing, tenants: [] }
  for (const [tenantId, drift] of [...tenants].sort(([a], [b]) => (a < b ? -1 : 1))) {
    total.entries += drift.entries
    total.ledgerNano += drift.ledgerNano
    total.recomputedNano += drift.recomputedNano
    total.driftNano += drift.driftNano
    total.unmatched += drift.unmatched
    total.tenants.push({ tenantId, ...drift })
  }
  return total
}

/** Entries of requests that have no audit row, or one that costs nothing. */
function readOrphans(db: Queryable): Promise<(Row & Orphan)[]> {
  return db.query<Row & Orphan>(
    `SELECT tenant_id AS "tenantId", count(*)::int AS entries, sum(amount_nano)::bigint AS nano,
       sum(abs(amount_nano))::bigint AS "absoluteNano" FROM ledger
     WHERE kind IN ('usage', 'cache_hit') AND NOT EXISTS
       (SELECT FROM requests WHERE requests.born = born_of(ledger.request_id) AND requests.id = ledger.request_id AND ${charged})
       AND NOT EXISTS (SELECT FROM audit_swept s WHERE s.tenant_id = ledger.tenant_id AND born_of(ledger.request_id) < s.swept_to)
     GROUP BY tenant_id`,
  )
}

interface Orphan {
  tenantId: string
  entries: number
  nano: number
  absoluteNano: number
}

// A worker's clock may be ahead: what has not been yet when it was committed was priced as of the commit.
function readPage(db: Queryable, after: { born: string; id: string }): Promise<Entry[]> {
  return db.query<Entry>(
    `SELECT r.id, r.born::text AS born, r.tenant_id AS "tenantId", r.endpoint, r.model, r.model_version AS "modelVersion", r.lane, r.source,
       (extract(epoch FROM least(r.finished_at, r.committed_at)) * 1000)::float8 AS "atMs",
       r.prompt_tokens AS "promptTokens", r.cached_tokens AS "cachedTokens",
       r.completion_tokens AS "completionTokens", r.reasoning_tokens AS "reasoningTokens",
       l.kind, l.amount_nano AS "amountNano"
     FROM requests r LEFT JOIN ledger l ON l.request_id = r.id AND l.kind IN ('usage', 'cache_hit')
     WHERE (r.born, r.id) > ($1::date, $2) AND ${charged} ORDER BY r.born, r.id LIMIT ${pageRows}`,
    [after.born, after.id],
  )
}
