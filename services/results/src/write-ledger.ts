import { computeNano, ledgerKindOf } from '@forebay/pricing'
import type { Queryable } from '@forebay/store'
import { timeOf, unnest } from './unnest.ts'
import type { Committed } from './write-requests.ts'

/** What a GPU of a pool costs an hour, in the currency of the price book; undefined when nobody said. */
export type CostPerGpuHour = (pool: string) => number | undefined

/** Milliseconds as whole microseconds; null stays unknown. */
export function gpuMicros(gpuMs: number | null): number | null {
  return gpuMs === null ? null : Math.round(gpuMs * 1000)
}

/** Writes one entry per charged request, to the project of its key. */
export async function insertLedger(
  tx: Queryable,
  committed: readonly Committed[],
  costPerGpuHour: CostPerGpuHour,
): Promise<void> {
  const charged = committed.flatMap(({ arrival, charge }) => (charge ? [{ arrival, charge }] : []))
  if (charged.length === 0) return
  const rows = unnest(charged, {
    request_id: ['text', ({ arrival: a }) => a.requestId],
    kind: ['text', ({ arrival: a }) => ledgerKindOf(a.source)],
    tenant_id: ['text', ({ arrival: a }) => a.tenantId],
    api_key_id: ['text', ({ arrival: a }) => a.apiKeyId],
    batch_id: ['text', ({ arrival: a }) => a.batchId],
    model: ['text', ({ arrival: a }) => a.model],
    model_version: ['text', ({ arrival: a }) => a.modelVersion],
    pool: ['text', ({ arrival: a }) => a.pool],
    lane: ['text', ({ arrival: a }) => a.lane],
    prompt_tokens: ['int', ({ arrival: a }) => a.usage.promptTokens],
    cached_tokens: ['int', ({ arrival: a }) => a.usage.cachedTokens],
    completion_tokens: ['int', ({ arrival: a }) => a.usage.completionTokens],
    reasoning_tokens: ['int', ({ arrival: a }) => a.usage.reasoningTokens],
    gpu_micros: ['bigint', ({ arrival: a }) => gpuMicros(a.gpuMs)],
    compute_nano: ['bigint', ({ arrival: a }) => computeNano(gpuMicros(a.gpuMs), costPerGpuHour(a.pool))],
    amount_nano: ['bigint', ({ charge }) => charge.amountNano],
    currency: ['text', ({ charge }) => charge.currency],
    // A Postgres array cannot hold arrays of different lengths, so each travels as its own literal.
    price_ids: ['text', ({ charge }) => `{${charge.priceIds.join(',')}}`],
    occurred_at: ['double precision', ({ arrival: a }) => a.finishedAtMs],
  })
  const selected = rows.names
    .replace(/\w+/g, (name) => `rows.${name}`)
    .replace('rows.price_ids', 'rows.price_ids::bigint[]')
    .replace('rows.occurred_at', timeOf('rows.occurred_at'))
  await tx.query(
    `INSERT INTO ledger (project_id, ${rows.names}) SELECT coalesce(keys.project_id, 'default'), ${selected}
     FROM ${rows.from} LEFT JOIN api_keys keys ON keys.id = rows.api_key_id AND keys.tenant_id = rows.tenant_id`,
    rows.values,
  )
}
