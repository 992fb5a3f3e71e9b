import type { BatcherRequest } from './request.ts'
import type { WaitingLine } from './waiting-line.ts'

/** A live request that cannot end by its deadline any more, and when it might be tried again. */
export interface Hopeless {
  readonly id: string
  /** By so much the line before it must get shorter for such a request to be in time. */
  readonly retryAfterMs: number
}

/** How long live requests wait for a seat, reckoned by how long they kept one lately. */
export interface LiveWaits {
  /** A live request ended well, after so long at the engine. */
  ended(tookMs: number): void
  /**
   * Those of the line, in order of their deadlines, that are too late even if it goes a third faster than lately; the
   * others are reckoned without them. None while too little is known.
   */
  hopeless(now: { nowMs: number; line: WaitingLine; seats: number }): Hopeless[]
}

const newestWeight = 0.1
const samplesMin = 3
// What is refused must be clear.
const surely = 0.75
// A long line is not gone through at every event.
const lookEveryMs = 50
const retryAfter = { minMs: 1_000, maxMs: 60_000 } as const

/** Starts knowing nothing. */
export function makeLiveWaits(): LiveWaits {
  let samples = 0
  let meanMs = 0
  let lookedMs = Number.NEGATIVE_INFINITY
  return {
    ended(tookMs) {
      samples++
      meanMs += Math.max(newestWeight, 1 / samples) * (tookMs - meanMs)
    },
    hopeless({ line, nowMs, seats }) {
      if (samples < samplesMin || nowMs - lookedMs < lookEveryMs) return []
      lookedMs = nowMs
      const found: Hopeless[] = []
      let ahead = 0
      const look = ({ deadlineMs, id }: BatcherRequest) => {
        // Each end of one of `seats` lets one in, and then it takes its own time.
        const takesMs = ((ahead + 1) / Math.max(1, seats) + 1) * meanMs
        const leftMs = deadlineMs - nowMs
        if (surely * takesMs <= leftMs) ahead++
        else found.push({ id, retryAfterMs: clamp(takesMs - leftMs) })
        return false
      }
      line.find(look, Number.POSITIVE_INFINITY)
      return found
    },
  }
}

function clamp(ms: number): number {
  return Math.min(retryAfter.maxMs, Math.max(retryAfter.minMs, Math.ceil(ms)))
}
