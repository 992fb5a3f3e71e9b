/** What is measured of an answer without a model. */
export const qualityMeasures = ['repetition', 'perplexity'] as const
export type QualityMeasure = (typeof qualityMeasures)[number]

// Upper ends: of repetition every fiftieth; of perplexity a fifth more each, from 1 to about 9,000. The last has no end.
// What is stored counts in these steps: they may not change.
const ends: Record<QualityMeasure, readonly number[]> = {
  repetition: Array.from({ length: 51 }, (_, i) => i / 50),
  perplexity: Array.from({ length: 51 }, (_, i) => 1.2 ** i),
}

/** Values of one measure, counted by steps; two of them are added step by step. */
export interface Spread {
  answers: number
  total: number
  /** Values beyond the threshold. */
  over: number
  buckets: number[]
}

/** A spread of nothing. */
export function emptySpread(measure: QualityMeasure): Spread {
  return { answers: 0, total: 0, over: 0, buckets: new Array<number>(ends[measure].length).fill(0) }
}

/** Counts a value in. */
export function addToSpread(spread: Spread, value: number, of: { measure: QualityMeasure; threshold: number }): void {
  const steps = ends[of.measure]
  const found = steps.findIndex((end) => value <= end)
  const at = found < 0 ? steps.length - 1 : found
  spread.answers++
  spread.total += value
  if (value > of.threshold) spread.over++
  spread.buckets[at] = (spread.buckets[at] ?? 0) + 1
}

/** Mean, and the upper end of the step in which the 95th percentile lies; both null for a spread of nothing. */
export function describeSpread(measure: QualityMeasure, spread: Spread): { mean: number | null; p95: number | null } {
  const { answers, buckets, total } = spread
  if (answers === 0) return { mean: null, p95: null }
  let left = Math.ceil(answers * 0.95)
  const at = buckets.findIndex((count) => {
    left -= count
    return left <= 0
  })
  const p95 = ends[measure][at] ?? ends[measure].at(-1) ?? 0
  return { mean: Number((total / answers).toPrecision(4)), p95: Number(p95.toPrecision(4)) }
}
