/** What ended of one version within one stratum: requests of the same lane and endpoint are alike, others are not compared. */
export interface StratumFigures {
  readonly stratum: string
  readonly requests: number
  readonly failed: number
  /** Answers that failed their check. */
  readonly checksFailed: number
  /** Of the answers that succeeded: how many, and mean and variance of the logarithm of their milliseconds. */
  readonly answered: number
  readonly logMsMean: number
  readonly logMsVariance: number
}

/** Both versions over the same time. */
export type VersionFigures = Both<StratumFigures>

/** Requests of one version within one stratum, and how many of them are bad in some way. */
export interface ShareFigures {
  readonly stratum: string
  readonly requests: number
  readonly bad: number
}

/** What is known of the quality of both versions' answers, by what was looked at; each batch is a stratum of its own. */
export interface QualityFigures {
  /** Answers that a judge model looked at; bad: it flagged them. */
  readonly judged: Both<ShareFigures>
  /** Answers of which it was measured; bad: beyond the threshold. */
  readonly repetition: Both<ShareFigures>
  readonly perplexity: Both<ShareFigures>
}

/** The same of both versions. */
export interface Both<T> {
  readonly from: readonly T[]
  readonly to: readonly T[]
}

/** How one measure compares: the difference, new less old, and by how many standard errors it is over its margin. */
export interface Compared {
  readonly old: number
  readonly new: number
  readonly difference: number
  /** Negative: within the margin. Undefined: nothing to compare. */
  readonly z: number | undefined
}

/** Requests of a version that ended. */
export function sampleOf(figures: readonly { requests: number }[]): number {
  return figures.reduce((sum, { requests }) => sum + requests, 0)
}

/**
 * Compares the shares of requests of which `of` holds: the risk difference over strata with Mantel–Haenszel weights,
 * its variance by Agresti and Caffo (one success and one failure added), so that few requests with none or all failed
 * are not taken for certain.
 */
export function compareShares<T extends { stratum: string; requests: number }>(
  figures: Both<T>,
  of: (stratum: T) => number,
  margin: number,
): Compared {
  return combine(
    figures,
    ({ requests }) => requests,
    (stratum) => {
      const n = stratum.requests
      const adjusted = (of(stratum) + 1) / (n + 2)
      return { mean: of(stratum) / n, variance: (adjusted * (1 - adjusted)) / (n + 2) }
    },
    margin,
  )
}

/** Compares how long answers take, as the ratio of geometric means: Welch's standard error of the logarithms, over strata. */
export function compareLatency(figures: VersionFigures, ratioMax: number): Compared {
  const compared = combine(
    figures,
    ({ answered }) => (answered >= 2 ? answered : 0),
    ({ answered, logMsMean, logMsVariance }) => ({
      mean: logMsMean,
      // Answers of the same length to the millisecond are no proof that none takes longer.
      variance: Math.max(logMsVariance, 1e-4) / answered,
    }),
    Math.log(ratioMax),
  )
  return { ...compared, old: Math.exp(compared.old), new: Math.exp(compared.new) }
}

function combine<T extends { stratum: string }>(
  { from, to }: Both<T>,
  count: (stratum: T) => number,
  measure: (stratum: T) => { mean: number; variance: number },
  margin: number,
): Compared {
  let [weights, oldSum, newSum, variance] = [0, 0, 0, 0]
  for (const after of to) {
    const before = from.find(({ stratum }) => stratum === after.stratum)
    const [n, m] = [before ? count(before) : 0, count(after)]
    if (!before || n === 0 || m === 0) continue
    const weight = (n * m) / (n + m)
    const [a, b] = [measure(before), measure(after)]
    weights += weight
    oldSum += weight * a.mean
    newSum += weight * b.mean
    variance += weight ** 2 * (a.variance + b.variance)
  }
  if (weights === 0) return { old: 0, new: 0, difference: 0, z: undefined }
  const difference = (newSum - oldSum) / weights
  const z = (difference - margin) / Math.max(Math.sqrt(variance) / weights, Number.EPSILON)
  return { old: oldSum / weights, new: newSum / weights, difference, z }
}
