import { computeNano, ledgerKindOf } from '@forebay/pricing'
import type { Queryable } from '@forebay/store'
import { unnest } from './unnest.ts'
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
  const charged = committed.flatMap(({ arrival, charge }) => (charge ? [{ ...arrival, charge }] : []))
  if (charged.length === 0) return
  const rows = unnest(charged, {
    request_id: ['text', (a) => a.requestId],
    kind: ['text', (a) => ledgerKindOf(a.source)],
    tenant_id: ['text', (a) => a.tenantId],
    api_key_id: ['text', (a) => a.apiKeyId],
    batch_id: ['text', (a) => a.batchId],
    model: ['text', (a) => a.model],
    model_version: ['text', (a) => a.modelVersion],
    pool: ['text', (a) => a.pool],
    lane: ['text', (a) => a.lane],
    prompt_tokens: ['int', (a) => a.usage.promptTokens],
    cached_tokens: ['int', (a) => a.usage.cachedTokens],
    completion_tokens: ['int', (a) => a.usage.completionTokens],
    reasoning_tokens: ['int', (a) => a.usage.reasoningTokens],
    gpu_micros: ['bigint', (a) => gpuMicros(a.gpuMs)],
    compute_nano: ['bigint', (a) => computeNano(gpuMicros(a.gpuMs), costPerGpuHour(a.pool))],
    amount_nano: ['bigint', (a) => a.charge.amountNano],
    currency: ['text', (a) => a.charge.currency],
    // A Postgres array cannot hold arrays of different lengths, so each travels as its own literal.
    price_ids: ['text', (a) => `{${a.charge.priceIds.join(',')}}`],
    occurred_at: ['timestamptz', (a) => new Date(a.finishedAtMs).toISOString()],
  })
  const selected = rows.names.replace(/\w+/g, (name) => `rows.${name}`).replace('price_ids', 'price_ids::bigint[]')
  await tx.query(
    `INSERT INTO ledger (project_id, ${rows.names}) SELECT coalesce(keys.project_id, 'default'), ${selected}
     FROM ${rows.from} LEFT JOIN api_keys keys ON keys.id = rows.api_key_id AND keys.tenant_id = rows.tenant_id`,
    rows.values,
  )
}
