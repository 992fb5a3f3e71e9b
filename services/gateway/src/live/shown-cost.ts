import { readUsage } from '@forebay/answer-cache'
import type { AnswerSource, InferenceEndpoint, Lane, Usage } from '@forebay/contracts'
import { chargeFor, type Price } from '@forebay/pricing'

/** A request as its price is chosen by. */
export interface PricedRequest {
  tenantId: string
  endpoint: InferenceEndpoint
  model: string
  lane: Lane
  source: AnswerSource
  /** The versions that may have answered; empty when none is known. */
  modelVersions: readonly string[]
  atMs: number
}

/** What is added to the `usage` of an answer; null where no price was in force, or where it depends on an unknown version. */
export interface ShownCost {
  /** In units of the currency. */
  cost: number | null
  cost_nano: number | null
  cost_currency: string | null
}

const unknown: ShownCost = { cost: null, cost_nano: null, cost_currency: null }

/** True when the client wants to see what its request costs. */
export function wantsCost(headers: Readonly<Record<string, string | string[] | undefined>>): boolean {
  return String(headers['x-forebay-include-cost'] ?? '').toLowerCase() === 'true'
}

/** What a request costs, by the rule that the ledger charges by. */
export function costOf(request: PricedRequest, usage: Usage, prices: readonly Price[]): ShownCost {
  const versions = request.modelVersions.length === 0 ? [null] : request.modelVersions
  const [first, ...others] = versions.map((modelVersion) => chargeFor({ ...request, modelVersion, usage, prices }))
  if (!first || others.some((one) => one.amountNano !== first.amountNano || one.currency !== first.currency))
    return unknown
  if (first.items.length > 0 && first.priceIds.length === 0) return unknown
  return { cost: first.amountNano / 1e9, cost_nano: first.amountNano, cost_currency: first.currency }
}

/** An answer's JSON text with its cost in `usage`; as it was when it states no usage. */
export function withCost(text: string, costFor: (usage: Usage) => ShownCost): string {
  const usage = readUsage(text)
  if (usage === undefined) return text
  const body = JSON.parse(text) as { usage: object }
  return JSON.stringify({ ...body, usage: { ...body.usage, ...costFor(usage) } })
}

/** The same for an event of a stream. */
export function eventWithCost(event: string, costFor: (usage: Usage) => ShownCost): string {
  return `data: ${withCost(event.slice('data:'.length).trim(), costFor)}\n\n`
}
