import type { EngineSample } from './request.ts'

/** How many requests the engine is given at once, found out as it goes. */
export interface EngineSeats {
  readonly ceiling: number
  /** The same for live requests: until the engine has shown a limit, they are not held to what was found so far. */
  readonly liveCeiling: number
  /** No batch work before this time: the engine said that it has too much. */
  readonly blockedUntilMs: number
  /** `inFlight`: requests at the engine; `live`: live requests are about; `prefilling`: prompts should be under way. */
  observe(sample: EngineSample, now: { inFlight: number; live: boolean; prefilling: boolean }): void
  /** The engine refused a request: 429 or 503. */
  refused(nowMs: number, retryAfterMs: number | undefined): void
  /** A request ended well: an engine without metrics earns seats back by these. */
  succeeded(): void
  setBounds(bounds: SeatBounds): void
}

/** Where the ceiling starts and ends. Equal: it moves only down, when the engine refuses, and back. */
export interface SeatBounds {
  readonly start: number
  readonly max: number
}

const refusedShare = 0.7
const pauseMs = 1_000
// A few waiting are only on their way into the next step.
const waitingMax = 4

/** Begins at `start`. */
export function makeEngineSeats(bounds: SeatBounds): EngineSeats {
  let { max, start } = bounds
  let ceiling = start
  let blockedUntilMs = 0
  let last: EngineSample | undefined
  /** Doubling until the engine first showed a limit. */
  let eager = true
  let refusedMs = Number.NEGATIVE_INFINITY
  return {
    get ceiling() {
      return Math.max(1, Math.floor(ceiling))
    },
    get liveCeiling() {
      return eager ? max : this.ceiling
    },
    get blockedUntilMs() {
      return blockedUntilMs
    },
    observe(sample, { inFlight, live, prefilling }) {
      const before = last
      last = sample
      if (!before || max <= start) return
      const preempted = sample.preemptions > before.preemptions
      // It has work waiting and takes none of it: all of its seats are taken.
      const full =
        !prefilling &&
        sample.waiting > waitingMax &&
        before.waiting > waitingMax &&
        sample.running <= before.running * 1.02
      if (preempted) {
        ceiling = Math.max(start, Math.min(ceiling, inFlight) * 0.95)
        eager = false
      } else if (full) {
        // A little in hand keeps its seats filled; beside live requests not even that, for it is they who would wait.
        const spare = live ? 1 : 1.25
        ceiling = Math.max(start / 4, Math.min(ceiling, sample.running * spare + waitingMax))
        eager = false
      } else if (inFlight >= 0.9 * ceiling && sample.waiting <= waitingMax && (sample.kvUsage ?? 0) < 0.9) {
        ceiling = Math.min(max, eager ? ceiling * 2 : ceiling * 1.1 + 1)
      }
    },
    refused(nowMs, retryAfterMs) {
      blockedUntilMs = Math.max(blockedUntilMs, nowMs + (retryAfterMs ?? pauseMs))
      // Many refusals of one moment are one.
      if (nowMs - refusedMs < pauseMs) return
      refusedMs = nowMs
      ceiling = Math.max(1, ceiling * refusedShare)
      eager = false
    },
    succeeded() {
      if (ceiling < start) ceiling = Math.min(start, ceiling + 1 / ceiling)
    },
    setBounds(next) {
      if (next.max === max && next.start === start) return
      max = next.max
      start = next.start
      ceiling = start
      eager = true
    },
  }
}
