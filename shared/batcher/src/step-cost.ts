/** One stretch of an engine at work: how long a step took on average, and what was in it. */
export interface StepWindow {
  readonly stepMs: number
  /** Requests that gained a token. */
  readonly running: number
  /** Prompt tokens computed. */
  readonly prefillTokens: number
  /** How much it counts; 1 for a look at the engine's metrics. */
  readonly weight?: number
}

/** What a step of the engine takes: `base + perRequest × running + perPrefillToken × prefill tokens`, in milliseconds. */
export interface StepCost {
  readonly baseMs: number
  readonly perRequestMs: number
  readonly perPrefillTokenMs: number
  stepMs(running: number, prefillTokens: number): number
  observe(window: StepWindow): void
}

// Brings the three features to about the same size.
const scale = [1, 100, 500] as const
// Before anything was seen: a fast engine, so that enough is let in to find out.
const prior = [8, 2, 5] as const
const priorWeight = 0.05
const decay = 0.98

/** Learns the three by least squares over the last half minute or so, drawn weakly to a fast engine. */
export function makeStepCost(): StepCost {
  // Upper triangle of the normal equations, and their right side.
  const m = [0, 0, 0, 0, 0, 0]
  const r = [0, 0, 0]
  let fit: readonly number[] = prior
  const cost = {
    get baseMs() {
      return fit[0] ?? 0
    },
    get perRequestMs() {
      return (fit[1] ?? 0) / scale[1]
    },
    get perPrefillTokenMs() {
      return (fit[2] ?? 0) / scale[2]
    },
    stepMs: (running: number, prefillTokens: number) =>
      cost.baseMs + cost.perRequestMs * running + cost.perPrefillTokenMs * prefillTokens,
    observe({ prefillTokens, running, stepMs, weight = 1 }: StepWindow) {
      const x = [1, running / scale[1], prefillTokens / scale[2]] as const
      const pairs = [x[0] * x[0], x[0] * x[1], x[0] * x[2], x[1] * x[1], x[1] * x[2], x[2] * x[2]]
      const kept = decay ** weight
      for (const [i, pair] of pairs.entries()) m[i] = (m[i] ?? 0) * kept + pair * weight
      for (const [i, value] of x.entries()) r[i] = (r[i] ?? 0) * kept + value * stepMs * weight
      fit = solve(m, r)
    },
  }
  return cost
}

/** Cramer's rule on the 3 × 3 equations with the prior added; what comes out negative is next to nothing. */
function solve(m: readonly number[], r: readonly number[]): number[] {
  const at = (i: number) => m[i] ?? 0
  const [a, b, c] = [at(0) + priorWeight, at(1), at(2)]
  const [d, e, f] = [at(3) + priorWeight, at(4), at(5) + priorWeight]
  const [x, y, z] = [0, 1, 2].map((i) => (r[i] ?? 0) + priorWeight * (prior[i] ?? 0)) as [number, number, number]
  const determinant = a * (d * f - e * e) - b * (b * f - c * e) + c * (b * e - c * d)
  const fit = [
    x * (d * f - e * e) - b * (y * f - z * e) + c * (y * e - z * d),
    a * (y * f - z * e) - x * (b * f - c * e) + c * (b * z - c * y),
    a * (d * z - e * y) - b * (b * z - c * y) + x * (b * e - c * d),
  ]
  return fit.map((value, i) => Math.max((prior[i] ?? 0) / 1000, value / determinant))
}
