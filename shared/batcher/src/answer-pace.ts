/** Whether an engine that tells nothing of itself could take more at once, by how long its answers take. */
export interface AnswerPace {
  /**
   * A request ended well: it took so long per output token, with so many in flight of `ceiling`; `lowest` when that
   * cannot be less.
   */
  ended(now: { msPerToken: number; inFlight: number; ceiling: number; lowest: boolean }): 'more' | 'fewer' | 'stay'
  /** The engine is another: nothing is known of it. */
  reset(): void
}

// An engine that batches is a little slower with more in it, one that queues is slower in proportion.
const fineFactor = 1.5
const slowFactor = 2.5
const newestWeight = 0.2

/** Judges once per round, which is as many answers as may be in flight: each change shows in the next. */
export function makeAnswerPace(): AnswerPace {
  let recent: number | undefined
  let best = Number.POSITIVE_INFINITY
  let round = 0
  return {
    ended({ ceiling, inFlight, lowest, msPerToken }) {
      recent = recent === undefined ? msPerToken : recent + newestWeight * (msPerToken - recent)
      best = Math.min(best, recent)
      if (++round < Math.max(4, ceiling)) return 'stay'
      round = 0
      if (recent > slowFactor * best) {
        if (!lowest) return 'fewer'
        // Slow with as few as can be: it is not the number, these requests take longer than those before.
        best = recent
      }
      return inFlight >= 0.8 * ceiling && recent <= fineFactor * best ? 'more' : 'stay'
    },
    reset() {
      recent = undefined
      best = Number.POSITIVE_INFINITY
      round = 0
    },
  }
}
