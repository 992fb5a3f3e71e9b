import { holdForBatch } from '@forebay/budgets'
import { readPrices } from '@forebay/ledger'
import { chargeFor } from '@forebay/pricing'
import type { Queryable, Row } from '@forebay/store'
import { estimatePromptTokens } from '@forebay/tokens'
import type { BatchRow } from '../batch-row.ts'
import type { PlanOutcome } from './plan-batch.ts'

/**
 * Within the transaction that stores a plan: holds what the planned tokens cost, in place of the estimate made at
 * submit. Throws `insufficient_quota` when a budget has no room for it.
 */
export async function holdEstimate(
  tx: Queryable,
  batch: BatchRow,
  outcome: Extract<PlanOutcome, { valid: true }>,
): Promise<void> {
  const { apiKeyId: keyId, endpoint, id, lane, tenantId } = batch
  const [file] = await tx.query<Row & { bytes: number }>('SELECT bytes FROM files WHERE id = $1', [batch.inputFileId])
  const { nowMs, prices } = await readPrices(tx, {
    tenantIds: [tenantId],
    models: outcome.parts.map(({ model }) => model),
    sinceMs: Number.MAX_SAFE_INTEGER / 1000,
  })
  const allPrompt = Math.min(outcome.estTokens, estimatePromptTokens(file?.bytes ?? 0))
  let estimateNano = 0
  let currency = ''
  for (const { estTokens, model } of outcome.parts) {
    const promptTokens = Math.round(allPrompt * (estTokens / Math.max(1, outcome.estTokens)))
    const completionTokens = endpoint === '/v1/embeddings' ? 0 : estTokens - promptTokens
    const usage = { promptTokens, cachedTokens: null, completionTokens, reasoningTokens: 0 }
    const charge = chargeFor({ endpoint, lane, model, tenantId, usage, prices, atMs: nowMs })
    if (currency === '') currency = charge.currency
    if (charge.currency === currency) estimateNano += charge.amountNano
  }
  const expiresAt = new Date(batch.expiresAtMs)
  await holdForBatch(tx, { id, tenantId, keyId, estimateNano, currency, expiresAt })
}
