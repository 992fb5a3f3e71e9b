import { setImmediate as breathe } from 'node:timers/promises'
import { estimatePromptTokens } from '@forebay/tokens'
import { prefixCuts } from './prompt-text.ts'

/** What a simulated prefix cache is asked of a request. */
export interface CacheRequest {
  /** False for one that never reaches the engine. */
  runs: boolean
  promptTokens: number
  /** Prompt and output together. */
  tokens: number
}

/**
 * The share of prompt tokens that a prefix cache of `cacheTokens` finds when requests run in `order`, each after the one
 * before: what was not used again before so many newer tokens were written is forgotten. Counts a shared prefix only up
 * to the last cut within it, so it is a low estimate. 0 for no tokens. In memory: the prefixes that fit the cache.
 */
export async function expectedShare(options: {
  order: Uint32Array
  /** How many levels a request shares with another. */
  depth: Uint8Array
  /** The branch of a request at a level it shares. */
  branchOf: (index: number, level: number) => number
  requestOf: (index: number) => CacheRequest
  cacheTokens: number
}): Promise<number> {
  const { branchOf, cacheTokens, depth, order, requestOf } = options
  // When each branch was last used, in tokens written so far; the one unused for longest comes first.
  const usedAt = new Map<number, number>()
  let [written, prompts, hits] = [0, 0, 0]
  for (const [position, index] of order.entries()) {
    if ((position & 0x3fff) === 0x3fff) await breathe()
    const { promptTokens, runs, tokens } = requestOf(index)
    if (!runs) continue
    const levels = depth[index] ?? 0
    let found = 0
    for (let level = 0; level < levels; level++) {
      const key = branchOf(index, level) * prefixCuts.length + level
      const at = usedAt.get(key)
      if (at !== undefined) usedAt.delete(key)
      if (at !== undefined && written - at <= cacheTokens && found === level) found = level + 1
      usedAt.set(key, written)
    }
    const hit = found === 0 ? 0 : Math.min(estimatePromptTokens(prefixCuts[found - 1] ?? 0), promptTokens)
    hits += hit
    prompts += promptTokens
    written += tokens - hit
    for (const [key, at] of usedAt) {
      if (written - at <= cacheTokens) break
      usedAt.delete(key)
    }
  }
  return prompts === 0 ? 0 : hits / prompts
}
