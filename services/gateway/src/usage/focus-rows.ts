import { chargeFor, type Price } from '@forebay/pricing'
import type { LedgerRow } from '../admin/ledger-object.ts'

/** The columns of a FOCUS 1.2 export; those that begin with `x_` are ours. */
export const focusColumns = [
  'BilledCost',
  'EffectiveCost',
  'BillingCurrency',
  'BillingAccountId',
  'SubAccountId',
  'ChargeCategory',
  'ChargeDescription',
  'ChargePeriodStart',
  'ChargePeriodEnd',
  'ConsumedQuantity',
  'ConsumedUnit',
  'PricingQuantity',
  'PricingUnit',
  'ListUnitPrice',
  'ServiceCategory',
  'ServiceName',
  'ProviderName',
  'SkuId',
  'SkuPriceId',
  'ResourceId',
  'x_ApiKeyId',
  'x_BatchId',
  'x_RequestId',
  'x_Lane',
  'x_ModelVersion',
  'x_CacheHit',
] as const

type FocusRow = Partial<Record<(typeof focusColumns)[number], string | number | null>>

/** The rows of one ledger entry: one per usage type charged, whose billed costs are together its amount; none for idle time. */
export function focusRows(entry: LedgerRow, prices: ReadonlyMap<number, Price>): FocusRow[] {
  if (entry.kind === 'idle') return []
  const at = entry.occurred_at
  const common: FocusRow = {
    BillingCurrency: entry.currency,
    BillingAccountId: entry.tenant_id,
    SubAccountId: entry.project_id,
    ChargePeriodStart: at.toISOString(),
    ChargePeriodEnd: new Date(at.getTime() + 1_000).toISOString(),
    ServiceCategory: 'AI and Machine Learning',
    ServiceName: 'Forebay inference',
    ProviderName: 'Forebay',
    ResourceId: entry.model,
    x_ApiKeyId: entry.api_key_id,
    x_BatchId: entry.batch_id,
    x_RequestId: entry.request_id,
    x_Lane: entry.lane,
    x_ModelVersion: entry.model_version,
    x_CacheHit: entry.kind === 'cache_hit' ? 'true' : 'false',
  }
  const whole = { ...common, BilledCost: cost(entry.amount_nano), EffectiveCost: cost(entry.amount_nano) }
  if (entry.kind === 'credit' || entry.kind === 'adjustment') {
    return [
      { ...whole, ChargeCategory: entry.kind === 'credit' ? 'Credit' : 'Adjustment', ChargeDescription: entry.reason },
    ]
  }
  const charge = chargeOf(entry, prices)
  if (charge.amountNano !== entry.amount_nano || charge.items.length === 0)
    return [{ ...whole, ChargeCategory: 'Usage' }]
  return charge.items.map((item) => ({
    ...common,
    BilledCost: cost(item.nano),
    EffectiveCost: cost(item.nano),
    ChargeCategory: 'Usage',
    ChargeDescription: `${item.usageType} tokens`,
    ConsumedQuantity: item.tokens,
    ConsumedUnit: 'tokens',
    PricingQuantity: item.tokens,
    PricingUnit: 'tokens',
    ListUnitPrice: item.price === null ? null : (item.price.nanoPerMillion / 1e15).toFixed(15).replace(/0+$/, '0'),
    SkuId: `${entry.model}/${entry.lane}/${item.usageType}`,
    SkuPriceId: item.price?.id ?? null,
  }))
}

/** What was charged, split again by the prices that were applied. */
function chargeOf(entry: LedgerRow, prices: ReadonlyMap<number, Price>) {
  const applied = entry.price_ids.flatMap((id) => prices.get(Number(id)) ?? [])
  const always = applied.map((price) => ({ ...price, fromMs: 0, toMs: null }))
  return chargeFor({
    endpoint: applied.some((price) => price.usageType === 'embedding') ? '/v1/embeddings' : '/v1/chat/completions',
    usage: {
      promptTokens: entry.prompt_tokens,
      cachedTokens: entry.cached_tokens,
      completionTokens: entry.completion_tokens,
      reasoningTokens: entry.reasoning_tokens,
    },
    source: entry.kind === 'cache_hit' ? 'exact_cache' : 'engine',
    tenantId: entry.tenant_id ?? '',
    model: entry.model ?? '',
    modelVersion: entry.model_version,
    lane: entry.lane === 'realtime' || entry.lane === 'standard' ? entry.lane : 'batch',
    atMs: entry.occurred_at.getTime(),
    prices: always,
  })
}

/** Nano-units as a decimal, exact. */
function cost(nano: number): string {
  const digits = String(Math.abs(nano)).padStart(10, '0')
  return `${nano < 0 ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`
}

/** One line of CSV. A text that a spreadsheet would take for a formula gets a quote in front. */
export function csvLine(values: readonly (string | number | null | undefined)[]): string {
  const cells = values.map((value) => {
    if (value === null || value === undefined) return ''
    const text = typeof value === 'string' && /^[=+@\t\r]|^-(?![\d.]+$)/.test(value) ? `'${value}` : String(value)
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  })
  return `${cells.join(',')}\n`
}
