import type { Lane } from '@forebay/contracts'

/** What a token was used for, as far as it can have a price of its own. */
export type UsageType = 'input' | 'cached_input' | 'output' | 'reasoning' | 'embedding'

/** A row of the price book. It is in force from `fromMs` until just before `toMs` (epoch ms; null: still open). */
export interface Price {
  id: number
  /** Null: every tenant. */
  tenantId: string | null
  /** `*`: every model. */
  model: string
  /** Null: every version. */
  modelVersion: string | null
  usageType: UsageType
  /** Null: every lane. */
  lane: Lane | null
  /** Nano-units of the currency for a million tokens. */
  nanoPerMillion: number
  currency: string
  fromMs: number
  toMs: number | null
}

/** Who used which model when, and on which lane: what a price is chosen by. */
export interface PriceScope {
  tenantId: string
  model: string
  /** Null or missing: unknown, and then only prices of every version apply. */
  modelVersion?: string | null | undefined
  lane: Lane
  atMs: number
}

/** The most specific price in force: a tenant's own before any, then a model's own, then its version's, then a lane's. */
export function priceFor(usageType: UsageType, scope: PriceScope, prices: readonly Price[]): Price | undefined {
  let best: Price | undefined
  for (const price of prices) {
    if (price.usageType !== usageType || !applies(price, scope)) continue
    if (best === undefined || rank(price) > rank(best)) best = price
  }
  return best
}

function applies(price: Price, scope: PriceScope): boolean {
  return (
    (price.tenantId === null || price.tenantId === scope.tenantId) &&
    (price.model === '*' || price.model === scope.model) &&
    (price.modelVersion === null || price.modelVersion === scope.modelVersion) &&
    (price.lane === null || price.lane === scope.lane) &&
    price.fromMs <= scope.atMs &&
    (price.toMs === null || scope.atMs < price.toMs)
  )
}

function rank(price: Price): number {
  const { lane, model, modelVersion, tenantId } = price
  return (
    (tenantId === null ? 0 : 8) + (model === '*' ? 0 : 4) + (modelVersion === null ? 0 : 2) + (lane === null ? 0 : 1)
  )
}
