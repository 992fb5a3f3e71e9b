import type { AnswerSource, InferenceEndpoint, Usage } from '@forebay/contracts'
import { type Price, type PriceScope, priceFor, type UsageType } from './price.ts'

/** What the tokens of one usage type cost. */
export interface ChargeItem {
  usageType: UsageType
  tokens: number
  /** The price applied, which may be that of another usage type; null when none was in force. */
  price: Price | null
  nano: number
}

/** What one request costs. */
export interface Charge {
  /** Whole nano-units of `currency`; 0 when no price was in force. */
  amountNano: number
  currency: string
  /** The prices applied, ascending; empty when none was in force. */
  priceIds: number[]
  /** What the amount is made of; usage types without tokens are left out. */
  items: ChargeItem[]
}

/**
 * What a request's usage costs at the prices given. Tokens are split by usage type; a type without a price in force
 * takes another's (cached input and embeddings that of input, reasoning that of output). Each usage type is rounded
 * once, half up, to whole nano-units. Prices in another currency than the first one that applies are left out.
 *
 * An answer that no engine computed (`source` other than `engine`) is charged its whole input as cached input, and
 * no output: its tokens were paid for by the request that was computed.
 *
 * Throws RangeError when the amount is no safe integer.
 */
export function chargeFor(
  options: PriceScope & {
    usage: Usage
    endpoint: InferenceEndpoint
    prices: readonly Price[]
    source?: AnswerSource | undefined
  },
): Charge {
  const applied = new Set<number>()
  const items: ChargeItem[] = []
  let currency: string | undefined
  let amount = 0n
  for (const { usageType, tokens, fallback } of split(options)) {
    if (tokens === 0) continue
    const price = firstPrice([usageType, ...fallback], options, currency)
    const nano = price ? (BigInt(tokens) * BigInt(price.nanoPerMillion) + 500_000n) / 1_000_000n : 0n
    items.push({ usageType, tokens, price: price ?? null, nano: Number(nano) })
    if (price === undefined) continue
    currency = price.currency
    applied.add(price.id)
    amount += nano
  }
  const amountNano = Number(amount)
  if (!Number.isSafeInteger(amountNano)) throw new RangeError(`a charge of ${amount} nano-units is out of range`)
  return { amountNano, currency: currency ?? 'USD', priceIds: [...applied].sort((a, b) => a - b), items }
}

/** The kind of ledger entry that a charge for an answer from there is. */
export function ledgerKindOf(source: AnswerSource): 'usage' | 'cache_hit' {
  return source === 'engine' ? 'usage' : 'cache_hit'
}

interface Share {
  usageType: UsageType
  tokens: number
  fallback: readonly UsageType[]
}

// Counts an engine reports beyond their whole are cut to it, so that no token is charged twice. Cached tokens that
// the engine does not report are charged as uncached.
function split(options: { usage: Usage; endpoint: InferenceEndpoint; source?: AnswerSource | undefined }): Share[] {
  const { endpoint, usage } = options
  const embeds = endpoint === '/v1/embeddings'
  if (ledgerKindOf(options.source ?? 'engine') === 'cache_hit') {
    const fallback = embeds ? (['embedding', 'input'] as const) : (['input'] as const)
    return [{ usageType: 'cached_input', tokens: usage.promptTokens, fallback }]
  }
  if (embeds) return [{ usageType: 'embedding', tokens: usage.promptTokens, fallback: ['input'] }]
  const cached = Math.min(usage.cachedTokens ?? 0, usage.promptTokens)
  const reasoning = Math.min(usage.reasoningTokens, usage.completionTokens)
  return [
    { usageType: 'input', tokens: usage.promptTokens - cached, fallback: [] },
    { usageType: 'cached_input', tokens: cached, fallback: ['input'] },
    { usageType: 'output', tokens: usage.completionTokens - reasoning, fallback: [] },
    { usageType: 'reasoning', tokens: reasoning, fallback: ['output'] },
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
