/** What live requests took lately, which is what is kept free for them, and how fast they come. */
export interface LiveLoad {
  /** A live request came. */
  came(nowMs: number): void
  /** Call on every change. */
  note(nowMs: number, load: { requests: number; tokens: number }): void
  /** The most at once lately, with a margin. */
  reserve(nowMs: number): { requests: number; tokens: number }
  /** Whether live requests came at all in the last minute. */
  isRecent(nowMs: number): boolean
  /** Live requests a second, just now. */
  ratePerSecond(nowMs: number): number
  /** Whether fewer come just now than over the last minute. */
  isQuiet(nowMs: number): boolean
}

const memoryMs = 60_000
const halvesInMs = 30_000
const margin = 1.25
const shortMs = 700
const longMs = 60_000
const quietShare = 0.7

/** Starts with no live traffic known. */
export function makeLiveLoad(): LiveLoad {
  let seenMs = Number.NEGATIVE_INFINITY
  let busy = false
  let peak = { requests: 0, tokens: 0, atMs: 0 }
  const short = makeRate(shortMs)
  const long = makeRate(longMs)
  const faded = (nowMs: number) => 0.5 ** ((nowMs - peak.atMs) / halvesInMs)
  return {
    came(nowMs) {
      short.add(nowMs)
      long.add(nowMs)
    },
    note(nowMs, { requests, tokens }) {
      if (requests > 0 || busy) seenMs = nowMs
      busy = requests > 0
      const left = faded(nowMs)
      if (requests >= peak.requests * left || tokens >= peak.tokens * left) {
        peak = {
          requests: Math.max(requests, peak.requests * left),
          tokens: Math.max(tokens, peak.tokens * left),
          atMs: nowMs,
        }
      }
    },
    reserve(nowMs) {
      if (!busy && nowMs - seenMs > memoryMs) return { requests: 0, tokens: 0 }
      const left = faded(nowMs) * margin
      return { requests: Math.ceil(peak.requests * left), tokens: peak.tokens * left }
    },
    isRecent: (nowMs) => busy || nowMs - seenMs <= memoryMs,
    ratePerSecond: (nowMs) => short.perSecond(nowMs),
    isQuiet: (nowMs) => short.perSecond(nowMs) <= quietShare * long.perSecond(nowMs),
  }
}

/** Events a second, an exponential average over `overMs`. */
function makeRate(overMs: number) {
  let sum = 0
  let atMs = 0
  const left = (nowMs: number) => sum * Math.exp((atMs - nowMs) / overMs)
  return {
    add(nowMs: number) {
      sum = left(nowMs) + 1
      atMs = nowMs
    },
    perSecond: (nowMs: number) => (left(nowMs) / overMs) * 1000,
  }
}
