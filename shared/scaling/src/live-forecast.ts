// A burst is taken for one from so many samples on, and to become at most so many times what it is.
const riseSamples = 6
const riseTimesMax = 2
// A slope counts that is so many times what noise alone would make of it.
const standsOut = 4
// The noise is told from so many samples.
const noiseSamples = 24

interface Sample {
  atMs: number
  rate: number
}

/** What is to be expected of live traffic. */
export interface LiveForecast {
  /** Tokens a second to be ready for. */
  need: number
  /** Tokens a second that it will take on average. */
  mean: number
}

/**
 * Remembers live traffic of the last `memoryMs` and foresees the next minutes: about the highest of what was seen, or
 * where a straight line through the last few samples will be when a replica asked for now is ready.
 */
export function makeLiveForecast(options: { memoryMs: number; quietMs: number; headroom: number }): {
  /** Takes a sample: what came in the time since the one before it. One that is not newer than that is left out. */
  observe: (atMs: number, rate: number) => void
  at: (nowMs: number, aheadMs: number) => LiveForecast
} {
  const { headroom, memoryMs, quietMs } = options
  let samples: Sample[] = []
  return {
    observe(atMs, rate) {
      // The same sample again would make the noise look smaller than it is.
      const last = samples[samples.length - 1]
      if (last !== undefined && atMs <= last.atMs) return
      samples.push({ atMs, rate })
      const from = atMs - Math.max(memoryMs, quietMs)
      if ((samples[0]?.atMs ?? atMs) < from) samples = samples.filter(({ atMs }) => atMs >= from)
    },
    at(nowMs, aheadMs) {
      if (samples.every(({ rate }) => rate === 0)) return { need: 0, mean: 0 }
      const lately = samples.filter(({ atMs }) => atMs >= nowMs - memoryMs)
      const recent = lately.length > 0 ? lately : samples.slice(-1)
      const mean = recent.reduce((sum, { rate }) => sum + rate, 0) / recent.length
      const rates = recent.map(({ rate }) => rate).sort((a, b) => a - b)
      const high = rates[Math.floor(0.95 * (rates.length - 1))] ?? 0
      const last = recent[recent.length - 1]?.rate ?? 0
      const rise = lineAt(samples.slice(-riseSamples), nowMs + aheadMs, noiseOf(samples.slice(-noiseSamples)))
      const need = Math.max(Math.max(high, last) * headroom, Math.min(rise, riseTimesMax * last))
      // Until it has been quiet for long, somebody is there for the next request.
      return { need: Math.max(1, need), mean }
    },
  }
}

/** The value at a time of the least-squares line; the mean where its rise does not stand out from the noise. */
function lineAt(samples: readonly Sample[], atMs: number, noise: number): number {
  const mean = samples.reduce((sum, { rate }) => sum + rate, 0) / samples.length
  if (samples.length < riseSamples) return mean
  const middle = samples.reduce((sum, { atMs: at }) => sum + at, 0) / samples.length
  let [along, across] = [0, 0]
  for (const { atMs: at, rate } of samples) {
    along += (at - middle) ** 2
    across += (at - middle) * (rate - mean)
  }
  const slope = along === 0 ? 0 : across / along
  return slope > (standsOut * noise) / Math.sqrt(along) ? mean + slope * (atMs - middle) : mean
}

/** How far samples scatter, from their differences one to the next: a steady rise adds next to nothing to those. */
function noiseOf(samples: readonly Sample[]): number {
  let squares = 0
  for (const [i, { rate }] of samples.entries()) squares += (rate - (samples[i - 1]?.rate ?? rate)) ** 2
  return Math.sqrt(squares / 2 / Math.max(1, samples.length - 1))
}
