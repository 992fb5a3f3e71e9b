import type { Committed } from './write-requests.ts'

/** The types of tokens that are counted apart. */
export const tokenTypes = ['prompt', 'cached', 'completion', 'reasoning'] as const

/** Sums over committed requests that are counted alike. */
interface CommittedSum extends Record<(typeof tokenTypes)[number], number> {
  readonly labels: {
    readonly lane: string
    readonly model: string
    readonly outcome: string
    /** Of what they cost; undefined when they were not charged. */
    readonly currency: string | undefined
  }
  requests: number
  /** Those run by an engine that told of its prefix cache, and their prompt tokens that it found there and did not. */
  cacheTold: number
  found: number
  notFound: number
  amountNano: number
}

/** Sums up what was committed together, by lane, model, outcome and currency. */
export function makeCommittedSums(): { add(one: Committed): void; groups(): Iterable<CommittedSum> } {
  const groups = new Map<string, CommittedSum>()
  return {
    add({ arrival, charge }) {
      const { lane, model, outcome, source, usage } = arrival
      const currency = charge?.currency
      // A model's name, which may hold anything, comes last.
      const key = `${lane} ${outcome} ${currency ?? ''} ${model}`
      const sum = groups.get(key) ?? emptySum({ lane, model, outcome, currency })
      groups.set(key, sum)
      const { cachedTokens, completionTokens, promptTokens, reasoningTokens } = usage
      sum.requests++
      sum.prompt += promptTokens
      sum.cached += cachedTokens ?? 0
      sum.completion += completionTokens
      sum.reasoning += reasoningTokens
      sum.amountNano += charge?.amountNano ?? 0
      if (source !== 'engine' || cachedTokens === null) return
      sum.cacheTold++
      sum.found += cachedTokens
      sum.notFound += Math.max(0, promptTokens - cachedTokens)
    },
    groups: () => groups.values(),
  }
}

function emptySum(labels: CommittedSum['labels']): CommittedSum {
  return {
    ...{ labels, requests: 0, amountNano: 0, cacheTold: 0, found: 0, notFound: 0 },
    ...{ prompt: 0, cached: 0, completion: 0, reasoning: 0 },
  }
}
