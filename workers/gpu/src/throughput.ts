import type { Usage } from '@forebay/contracts'

const newestWeight = 0.3

/** Tokens a second that this worker gets through, prompt and output together; keeps its last value while idle. */
export interface Throughput {
  add(usage: Usage): void
  /** Takes in what was added since the last call, and answers the smoothed rate. */
  measure(nowMs: number): number
}

/** Starts at 0. */
export function makeThroughput(startMs: number): Throughput {
  let tokens = 0
  let sinceMs = startMs
  let rate: number | undefined
  return {
    add(usage) {
      tokens += usage.promptTokens + usage.completionTokens
    },
    measure(nowMs) {
      if (tokens > 0 && nowMs > sinceMs) {
        const now = (tokens * 1000) / (nowMs - sinceMs)
        rate = rate === undefined ? now : rate + newestWeight * (now - rate)
      }
      tokens = 0
      sinceMs = nowMs
      return rate ?? 0
    },
  }
}
