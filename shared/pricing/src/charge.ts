import type { InferenceEndpoint, Usage } from '@forebay/contracts'
import { type Price, type PriceScope, priceFor, type UsageType } from './price.ts'

export interface Charge {
  /** Whole nano-units of `currency`; 0 when no price was in force. */
  amountNano: number
  currency: string
  /** The prices applied, ascending; empty when none was in force. */
  priceIds: number[]
}

/**
 * What a request's usage costs at the prices given. Tokens are split by usage type; a type without a price in force
 * takes another's (cached input and embeddings that of input, reasoning that of output). Each usage type is rounded
 * once, half up, to whole nano-units. Prices in another currency than the first one that applies are left out.
 * Throws RangeError when the amount is no safe integer.
 */
export function chargeFor(
  options: PriceScope & { usage: Usage; endpoint: InferenceEndpoint; prices: readonly Price[] },
): Charge {
  const applied = new Set<number>()
  let currency: string | undefined
  let amount = 0n
  for (const { tokens, types } of split(options.usage, options.endpoint)) {
    if (tokens === 0) continue
    const price = firstPrice(types, options, currency)
    if (price === undefined) continue
    currency = price.currency
    applied.add(price.id)
    amount += (BigInt(tokens) * BigInt(price.nanoPerMillion) + 500_000n) / 1_000_000n
  }
  const amountNano = Number(amount)
  if (!Number.isSafeInteger(amountNano)) throw new RangeError(`a charge of ${amount} nano-units is out of range`)
  return { amountNano, currency: currency ?? 'USD', priceIds: [...applied].sort((a, b) => a - b) }
}

// Counts an engine reports beyond their whole are cut to it, so that no token is charged twice. Cached tokens that
// the engine does not report are charged as uncached.
function split(usage: Usage, endpoint: InferenceEndpoint): { tokens: number; types: readonly UsageType[] }[] {
  if (endpoint === '/v1/embeddings') return [{ tokens: usage.promptTokens, types: ['embedding', 'input'] }]
  const cached = Math.min(usage.cachedTokens ?? 0, usage.promptTokens)
  const reasoning = Math.min(usage.reasoningTokens, usage.completionTokens)
  return [
    { tokens: usage.promptTokens - cached, types: ['input'] },
    { tokens: cached, types: ['cached_input', 'input'] },
    { tokens: usage.completionTokens - reasoning, types: ['output'] },
    { tokens: reasoning, types: ['reasoning', 'output'] },
  ]
}

function firstPrice(
  types: readonly UsageType[],
  options: PriceScope & { prices: readonly Price[] },
  currency: string | undefined,
): Price | undefined {
  const prices = currency === undefined ? options.prices : options.prices.filter((price) => price.currency === currency)
  for (const type of types) {
    const price = priceFor(type, options, prices)
    if (price !== undefined) return price
  }
  return undefined
}
