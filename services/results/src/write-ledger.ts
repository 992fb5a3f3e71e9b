import { computeNano, ledgerKindOf } from '@forebay/pricing'
import { type Columns, timeOf } from './unnest.ts'
import type { Committed } from './write-requests.ts'

/** What a GPU of a pool costs an hour, in the currency of the price book; undefined when nobody said. */
export type CostPerGpuHour = (pool: string) => number | undefined

/** Milliseconds as whole microseconds; null stays unknown. */
export function gpuMicros(gpuMs: number | null): number | null {
  return gpuMs === null ? null : Math.round(gpuMs * 1000)
}

/** What a ledger entry has beside its request's audit row. */
export function chargeColumns(costPerGpuHour: CostPerGpuHour): Columns<Committed> {
  return {
    entry_kind: ['text', ({ arrival: a, charge }) => (charge ? ledgerKindOf(a.source) : null)],
    compute_nano: ['bigint', ({ arrival: a }) => computeNano(gpuMicros(a.gpuMs), costPerGpuHour(a.pool))],
    amount_nano: ['bigint', ({ charge }) => (charge === undefined ? null : charge.amountNano)],
    currency: ['text', ({ charge }) => charge?.currency ?? null],
    // A Postgres array cannot hold arrays of different lengths, so each travels as its own literal.
    price_ids: ['text', ({ charge }) => (charge ? `{${charge.priceIds.join(',')}}` : null)],
  }
}

/** One entry for each of `rows` that is charged and was `inserted`, to the project of its key. */
export const insertEntries = `entries AS (
  INSERT INTO ledger (request_id, kind, tenant_id, project_id, api_key_id, batch_id, model, model_version, pool, lane,
    prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, gpu_micros, compute_nano, amount_nano, currency,
    price_ids, occurred_at)
  SELECT id, entry_kind, tenant_id, coalesce(project_id, 'default'), api_key_id, batch_id, model, model_version, pool, lane,
    prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, gpu_micros, compute_nano, amount_nano, currency,
    price_ids::bigint[], ${timeOf('finished_at')}
  FROM rows JOIN inserted USING (id) WHERE entry_kind IS NOT NULL)`
