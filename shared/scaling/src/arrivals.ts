/** What is on its way to a pool, and what was learned from what came. */
export interface Arrivals {
  /** Takes what was asked for and what works now. */
  observe(nowMs: number, desired: number, ready: number): void
  /** When each replica was asked for that does not work yet, the oldest first. */
  readonly since: readonly number[]
  /** From asking for a replica until it works, as learned; `guessMs` until one came. */
  readonly coldStartMs: number
  /** True when the oldest has been on its way for `stuckAfter` cold starts. */
  stuck(nowMs: number): boolean
  /** For how long the oldest should have worked: since `lateAfter` cold starts; 0 when none is late. */
  lateMs(nowMs: number): number
}

const newestWeight = 0.3
/** How many cold starts a replica may take before it is said not to come. */
export const stuckAfter = 3
/** What is learned of a cold start is a mean: one that takes so many times as long is late. */
const lateAfter = 1.5
const learnedMsMax = 3_600_000

/**
 * Tells from what was asked for and what works which replicas are on their way, and how long that takes. A replica that
 * died is on its way again; one less asked for takes the newest from the way.
 */
export function makeArrivals(guessMs: number): Arrivals {
  let since: number[] = []
  let learnedMs: number | undefined
  let readyBefore: number | undefined
  const learn = (tookMs: number) => {
    const bounded = Math.min(learnedMsMax, Math.max(1_000, tookMs))
    learnedMs = learnedMs === undefined ? bounded : learnedMs + newestWeight * (bounded - learnedMs)
  }
  return {
    observe(nowMs, desired, ready) {
      const came = Math.min(since.length, Math.max(0, ready - (readyBefore ?? ready)))
      for (const askedMs of since.slice(0, came)) learn(nowMs - askedMs)
      since = since.slice(came)
      readyBefore = ready
      const missing = Math.max(0, desired - ready)
      since = since.slice(0, missing)
      while (since.length < missing) since.push(nowMs)
    },
    get since() {
      return since
    },
    get coldStartMs() {
      return learnedMs ?? guessMs
    },
    lateMs: (nowMs) =>
      since[0] === undefined ? 0 : Math.max(0, nowMs - since[0] - lateAfter * (learnedMs ?? guessMs)),
    stuck: (nowMs) => since[0] !== undefined && nowMs - since[0] > stuckAfter * (learnedMs ?? guessMs),
  }
}
