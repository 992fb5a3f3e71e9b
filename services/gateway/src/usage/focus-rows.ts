import { chargeFor, type Price } from '@forebay/pricing'
import type { LedgerRow } from '../admin/ledger-object.ts'
import type { FocusRow } from './focus-columns.ts'

/** The rows of one ledger entry: one per usage type charged, whose billed costs are together its amount; none for idle time. */
export function focusRows(entry: LedgerRow, prices: ReadonlyMap<number, Price>): FocusRow[] {
  if (entry.kind === 'idle') return []
  const at = entry.occurred_at
  const common: FocusRow = {
    BillingCurrency: entry.currency,
    BillingAccountId: entry.tenant_id,
    BillingAccountName: entry.tenant_id,
    BillingPeriodStart: focusTime(Date.UTC(at.getUTCFullYear(), at.getUTCMonth())),
    BillingPeriodEnd: focusTime(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1)),
    SubAccountId: entry.project_id,
    SubAccountName: entry.project_id,
    InvoiceIssuerName: 'Forebay',
    ProviderName: 'Forebay',
    PublisherName: 'Forebay',
    ServiceCategory: 'AI and Machine Learning',
    ServiceSubcategory: 'Generative AI',
    ServiceName: 'Forebay inference',
    ChargePeriodStart: focusTime(at.getTime()),
    ChargePeriodEnd: focusTime(at.getTime() + 1_000),
    ResourceId: entry.model,
    ResourceName: entry.model,
    ResourceType: entry.model === null ? null : 'Model',
    Tags: '{}',
    x_Pool: entry.pool,
    x_ApiKeyId: entry.api_key_id,
    x_BatchId: entry.batch_id,
    x_RequestId: entry.request_id,
    x_Lane: entry.lane,
    x_ModelVersion: entry.model_version,
    x_CacheHit: entry.kind === 'cache_hit' ? 'true' : 'false',
  }
  const whole = { ...common, ...costs(entry.amount_nano), ChargeFrequency: 'Usage-Based' }
  if (entry.kind === 'credit' || entry.kind === 'adjustment') {
    return [
      {
        ...whole,
        ChargeCategory: entry.kind === 'credit' ? 'Credit' : 'Adjustment',
        ChargeFrequency: 'One-Time',
        ChargeClass: entry.corrects === null ? null : 'Correction',
        ChargeDescription: entry.reason,
      },
    ]
  }
  const charge = chargeOf(entry, prices)
  if (charge.amountNano !== entry.amount_nano || charge.items.length === 0) {
    return [
      { ...whole, ChargeCategory: 'Usage', PricingCategory: 'Standard', SkuId: entry.model, SkuPriceId: 'several' },
    ]
  }
  return charge.items.map((item) => {
    const unitPrice =
      item.price === null ? null : (item.price.nanoPerMillion / 1e15).toFixed(15).replace(/(\.\d+?)0+$/, '$1')
    return {
      ...whole,
      ...costs(item.nano),
      ChargeCategory: 'Usage',
      ChargeDescription: `${item.usageType} tokens`,
      ConsumedQuantity: quantity(item.tokens),
      ConsumedUnit: 'tokens',
      PricingCategory: 'Standard',
      PricingQuantity: quantity(item.tokens),
      PricingUnit: 'tokens',
      ListUnitPrice: unitPrice,
      ContractedUnitPrice: unitPrice,
      SkuId: `${entry.model}/${entry.lane}/${item.usageType}`,
      SkuMeter: `${item.usageType} tokens`,
      SkuPriceId: item.price === null ? 'unpriced' : `price-${item.price.id}`,
    }
  })
}

/** The price book has one price for a tenant, so what is listed, agreed and billed is the same. */
function costs(nano: number): FocusRow {
  const amount = cost(nano)
  return { BilledCost: amount, EffectiveCost: amount, ListCost: amount, ContractedCost: amount }
}

/** To the second, in UTC, as FOCUS writes times. */
function focusTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}

/** With a decimal: the validator takes a column of whole numbers for the wrong type. */
function quantity(tokens: number): string {
  return tokens.toFixed(1)
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
