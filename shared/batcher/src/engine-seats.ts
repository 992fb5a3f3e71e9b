import { makeAnswerPace } from './answer-pace.ts'
import type { EngineSample } from './request.ts'

/** How many requests the engine is given at once, found out as it goes. */
export interface EngineSeats {
  readonly ceiling: number
  /** The same for live requests: until the engine has shown a limit, they are not held to what was found so far. */
  readonly liveCeiling: number
  /** The engine takes no more than that: what is beyond it waits inside. */
  readonly isFound: boolean
  /** No batch work before this time: the engine said that it has too much. */
  readonly blockedUntilMs: number
  /**
   * `inFlight`: requests at the engine; `live`: live requests are about; `prefilling`: those
   * whose prompts should be under way; `overdue`: a live request's prompt should have been computed, and was not.
   */
  observe(sample: EngineSample, now: { inFlight: number; live: boolean; prefilling: number; overdue: boolean }): void
  /** The engine refused a request: 429 or 503. */
  refused(nowMs: number, retryAfterMs: number | undefined): void
  /** A request ended well, having taken so long per output token: an engine without metrics earns seats by these. */
  succeeded(now: { msPerToken: number; inFlight: number; live: boolean }): void
  setBounds(bounds: SeatBounds): void
}

/** Where the ceiling starts and ends. Equal: it moves only down, when the engine refuses, and back. */
export interface SeatBounds {
  readonly start: number
  readonly max: number
  /** The engine tells nothing of itself: how long its answers take decides. */
  readonly untold?: boolean
}

const refusedShare = 0.7
const pauseMs = 1_000
// A few waiting are only on their way into the next step.
const waitingMax = 4
// Of fewer running, the number tells little.
const tellingMin = 8
const evidenceMin = 3
// So long it is believed how many seats the engine has; then it is tried anew.
const believedMs = 60_000
// Without live requests, a little in hand keeps every seat filled.
const spareShare = 1.25

/** Begins at `start`. */
export function makeEngineSeats(bounds: SeatBounds): EngineSeats {
  let { max, start, untold = false } = bounds
  const pace = makeAnswerPace()
  let ceiling = start
  let blockedUntilMs = 0
  let last: { sample: EngineSample; evidence: number } | undefined
  /** Doubling until the engine first showed a limit. */
  let eager = true
  /** How many ran when it took no more. */
  let found: { seats: number; atMs: number } | undefined
  let refusedMs = Number.NEGATIVE_INFINITY
  return {
    get ceiling() {
      return Math.max(1, Math.floor(ceiling))
    },
    get liveCeiling() {
      return eager && !untold ? max : this.ceiling
    },
    get isFound() {
      return found !== undefined
    },
    get blockedUntilMs() {
      return blockedUntilMs
    },
    observe(sample, { inFlight, live, overdue, prefilling }) {
      const before = last
      const roomy = (sample.kvUsage ?? 0) < 0.9
      const same = before !== undefined && Math.abs(sample.running - before.sample.running) <= 1
      // As many run as before, although more wait than can be on their way into a step.
      const odd = sample.waiting - prefilling
      // A live request among those that wait need not wait for more evidence.
      const many = overdue ? evidenceMin : 2
      const signs = !roomy || odd <= 0 ? 0 : odd > 2 ? many : sample.running >= tellingMin ? 1 : 0
      const evidence = signs > 0 && same ? (before?.evidence ?? 0) + signs : 0
      last = { sample, evidence }
      if (!before || max <= start) return
      if (evidence >= evidenceMin) {
        found = { seats: sample.running, atMs: sample.atMs }
        eager = false
      }
      if (found && sample.atMs - found.atMs > believedMs) found = undefined
      if (sample.preemptions > before.sample.preemptions) {
        ceiling = Math.max(start, Math.min(ceiling, inFlight) * 0.95)
        eager = false
      } else if (inFlight >= 0.9 * ceiling && sample.waiting <= waitingMax && roomy) {
        // Found out in smaller steps beside live requests: what is too much waits before them.
        ceiling = Math.min(max, eager ? ceiling * (live ? 1.25 : 2) : ceiling * 1.1 + 1)
      }
      // Beside live requests nothing is in hand: it is they who would wait behind it.
      if (found) ceiling = Math.min(ceiling, live ? found.seats : found.seats * spareShare + waitingMax)
    },
    refused(nowMs, retryAfterMs) {
      blockedUntilMs = Math.max(blockedUntilMs, nowMs + (retryAfterMs ?? pauseMs))
      // Many refusals of one moment are one.
      if (nowMs - refusedMs < pauseMs) return
      refusedMs = nowMs
      ceiling = Math.max(1, ceiling * refusedShare)
      eager = false
    },
    succeeded({ inFlight, live, msPerToken }) {
      if (ceiling < start) ceiling = Math.min(start, ceiling + 1 / ceiling)
      if (!untold) return
      const verdict = pace.ended({ ceiling, inFlight, msPerToken, lowest: ceiling <= start })
      // Beside live requests nothing is tried: it is they who would wait.
      if (verdict === 'more' && !live) ceiling = Math.min(max, ceiling * 1.25 + 1)
      if (verdict === 'fewer') ceiling = Math.max(Math.min(start, ceiling), ceiling * 0.8)
    },
    setBounds(next) {
      if (next.max === max && next.start === start && (next.untold ?? false) === untold) return
      untold = next.untold ?? false
      pace.reset()
      max = next.max
      start = next.start
      ceiling = start
      eager = true
      found = undefined
    },
  }
}
