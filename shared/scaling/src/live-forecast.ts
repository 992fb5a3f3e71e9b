// A burst is taken for one from so many samples on, and to become at most so many times what it is.
const riseSamples = 6
const riseTimesMax = 2
// A slope counts that is so many times its own standard error.
const standsOut = 2
// What is foreseen is itself on the safe side.
const aheadHeadroom = 1.1

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
 * where a straight line, through all of it or through the last few samples, will be when a replica asked for now is ready.
 */
export function makeLiveForecast(options: { memoryMs: number; quietMs: number; headroom: number }): {
  observe: (nowMs: number, rate: number) => void
  at: (nowMs: number, aheadMs: number) => LiveForecast
} {
  const { headroom, memoryMs, quietMs } = options
  let samples: Sample[] = []
  return {
    observe(nowMs, rate) {
      samples.push({ atMs: nowMs, rate })
      const from = nowMs - Math.max(memoryMs, quietMs)
      if ((samples[0]?.atMs ?? nowMs) < from) samples = samples.filter(({ atMs }) => atMs >= from)
    },
    at(nowMs, aheadMs) {
      const recent = samples.filter(({ atMs }) => atMs >= nowMs - memoryMs)
      if (samples.every(({ rate }) => rate === 0)) return { need: 0, mean: 0 }
      const mean = recent.reduce((sum, { rate }) => sum + rate, 0) / recent.length
      const rates = recent.map(({ rate }) => rate).sort((a, b) => a - b)
      const high = rates[Math.floor(0.95 * (rates.length - 1))] ?? 0
      const last = recent[recent.length - 1]?.rate ?? 0
      const drift = Math.max(0, lineAt(recent, nowMs + aheadMs))
      const rise = lineAt(samples.slice(-riseSamples), nowMs + aheadMs)
      const ahead = Math.max(drift, Math.min(rise, riseTimesMax * last))
      const need = Math.max(Math.max(high, last) * headroom, ahead * aheadHeadroom)
      // Until it has been quiet for long, somebody is there for the next request.
      return { need: Math.max(1, need), mean: Math.max(mean, drift) }
    },
  }
}

/** The value at a time of the least-squares line; the mean where the line does not stand out from the noise. */
function lineAt(samples: readonly Sample[], atMs: number): number {
  const mean = samples.reduce((sum, { rate }) => sum + rate, 0) / samples.length
  if (samples.length < riseSamples) return mean
  const middle = samples.reduce((sum, { atMs: at }) => sum + at, 0) / samples.length
  let [along, across, spread] = [0, 0, 0]
  for (const { atMs: at, rate } of samples) {
    along += (at - middle) ** 2
    across += (at - middle) * (rate - mean)
    spread += (rate - mean) ** 2
  }
  const slope = along === 0 ? 0 : across / along
  const noise = Math.sqrt(Math.max(0, spread - slope * across) / (samples.length - 2) / along)
  return Math.abs(slope) > standsOut * noise ? mean + slope * (atMs - middle) : mean
}
