import type { EngineSample } from './request.ts'

// Room for what estimates miss; a full KV cache makes the engine preempt and recompute.
const capacityShare = 0.9
const scaleBounds = { min: 0.25, max: 2 } as const

/**
 * The engine's KV tokens as a budget. Estimates are multiplied by a learned scale: below 1 where requests share
 * prefixes or end early, above 1 where the cache runs full all the same.
 */
export interface TokenBudget {
  /** Tokens that may be in flight, or undefined while the engine has not said how many it holds. */
  capacity(): number | undefined
  /** True when the cache is so full that nothing of low priority should be added. */
  full(nowMs: number): boolean
  observe(sample: EngineSample, usedTokens: number): void
}

/** Starts unbounded. */
export function makeTokenBudget(): TokenBudget {
  let last: EngineSample | undefined
  let scale = 1
  const capacity = () => (last?.kvTokens ? (capacityShare * last.kvTokens) / scale : undefined)
  return {
    capacity,
    full: (nowMs) => last?.kvUsage != null && isFresh(last, nowMs) && last.kvUsage > 0.95,
    observe(sample, usedTokens) {
      const preempted = last !== undefined && sample.preemptions > last.preemptions
      const bound = usedTokens > 0.85 * (capacity() ?? Number.POSITIVE_INFINITY)
      last = sample
      if (sample.kvUsage === null) return
      if (preempted || sample.kvUsage > 0.92) scale = Math.min(scaleBounds.max, scale * 1.1)
      else if (bound && sample.waiting === 0 && sample.kvUsage < 0.8) scale = Math.max(scaleBounds.min, scale * 0.95)
    },
  }
}

/** Samples come twice a second; an older one says nothing of now. */
export function isFresh(sample: EngineSample, nowMs: number): boolean {
  return nowMs - sample.atMs <= 2_000
}
