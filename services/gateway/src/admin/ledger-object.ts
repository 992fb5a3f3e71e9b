import type { Row } from '@forebay/store'
import { z } from 'zod'
import { seconds } from '../http/list-page.ts'

/** What an entry of the ledger is. */
export const ledgerKinds = ['usage', 'cache_hit', 'adjustment', 'credit', 'idle'] as const

/** A row of `ledger`. */
export interface LedgerRow extends Row {
  id: number
  request_id: string
  kind: (typeof ledgerKinds)[number]
  tenant_id: string | null
  project_id: string | null
  api_key_id: string | null
  batch_id: string | null
  model: string | null
  model_version: string | null
  pool: string | null
  lane: string | null
  prompt_tokens: number
  cached_tokens: number | null
  completion_tokens: number
  reasoning_tokens: number
  amount_nano: number
  currency: string
  gpu_micros: number | null
  compute_nano: number | null
  price_ids: string[]
  corrects: number | null
  reason: string | null
  occurred_at: Date
}

/** An entry of the ledger. */
export const ledgerSchema = z
  .object({
    id: z.number().int(),
    object: z.literal('ledger.entry'),
    kind: z.enum(ledgerKinds),
    request_id: z.string().describe('The request; of a correction or idle time, its own id'),
    tenant: z.string().nullable(),
    project: z.string().nullable(),
    key: z.string().nullable(),
    batch: z.string().nullable(),
    model: z.string().nullable(),
    model_version: z.string().nullable(),
    pool: z.string().nullable(),
    lane: z.string().nullable(),
    input_tokens: z.number().int(),
    cached_tokens: z.number().int().nullable().describe('Null when the engine did not say: charged as uncached'),
    output_tokens: z.number().int(),
    reasoning_tokens: z.number().int(),
    amount_nano: z.number().int(),
    currency: z.string(),
    gpu_ms: z.number().nullable(),
    compute_nano: z.number().int().nullable().describe('What its GPU time costs in its pool; null when unknown'),
    prices: z.array(z.number().int()).describe('The rows of the price book applied'),
    corrects: z.number().int().nullable(),
    reason: z.string().nullable(),
    occurred_at: z.number().int(),
  })
  .meta({ id: 'LedgerEntry' })

/** An entry as the API shows it. */
export function ledgerObject(row: LedgerRow): z.infer<typeof ledgerSchema> {
  const { amount_nano, cached_tokens, compute_nano, corrects, currency, id, kind, lane, model, model_version } = row
  const { pool, reason, reasoning_tokens, request_id } = row
  return {
    id,
    object: 'ledger.entry',
    kind,
    request_id,
    tenant: row.tenant_id,
    project: row.project_id,
    key: row.api_key_id,
    batch: row.batch_id,
    ...{ model, model_version, pool, lane },
    input_tokens: row.prompt_tokens,
    cached_tokens,
    output_tokens: row.completion_tokens,
    reasoning_tokens,
    ...{ amount_nano, currency },
    gpu_ms: row.gpu_micros === null ? null : row.gpu_micros / 1000,
    compute_nano,
    prices: row.price_ids.map(Number),
    ...{ corrects, reason },
    occurred_at: seconds(row.occurred_at),
  }
}
