import { type Compared, compareLatency, compareShares, sampleOf, type VersionFigures } from './compare-versions.ts'
import { type Rollout, versionName } from './rollout.ts'

/** One-sided one in two thousand: it is looked at again and again, and each look may be wrong. */
const zWorse = 3.29
/** A version that fails altogether need not wait for the whole sample. */
const worseSampleMin = 20

/** What is to become of a rollout now, with the reason in one sentence. */
export interface RolloutVerdict {
  readonly move: 'wait' | 'step' | 'promote' | 'roll_back'
  /** The weight after it. */
  readonly weight: number
  readonly reason: string
  readonly figures: {
    readonly sample: { readonly old: number; readonly new: number }
    readonly errors: Compared
    readonly latency: Compared
    readonly checks: Compared
  }
}

/**
 * Judges a running rollout by what ended of both versions: back as soon as the new one is worse than its margin allows
 * beyond doubt, on when it has been at its weight for long enough with a whole sample that looks no worse, else it waits.
 * Pure.
 */
export function judgeRollout(
  rollout: Pick<Rollout, 'weight' | 'steps' | 'rules' | 'fromVersion' | 'toVersion' | 'steppedAtMs'>,
  figures: VersionFigures,
  nowMs: number,
): RolloutVerdict {
  const { rules, steppedAtMs, steps, weight } = rollout
  const sample = { old: sampleOf(figures.from), new: sampleOf(figures.to) }
  const errors = compareShares(figures, ({ failed }) => failed, rules.errorMargin)
  const latency = compareLatency(figures, rules.latencyRatio)
  const checks = compareShares(figures, ({ checksFailed }) => checksFailed, rules.qualityMargin)
  const seen = { sample, errors, latency, checks }
  const told = { errors: percents(errors), latency: times(latency), checks: percents(checks) }
  const limits = {
    errors: `${percent(rules.errorMargin)} more than ${versionName(rollout.fromVersion)}`,
    latency: `${rules.latencyRatio} times as long`,
    checks: `${percent(rules.qualityMargin)} more`,
  }
  const what = { errors: 'requests fail', latency: 'answers take', checks: 'answers fail their check' }
  const name = versionName(rollout.toVersion)
  for (const kind of ['errors', 'checks', 'latency'] as const) {
    if (sample.new < worseSampleMin || (seen[kind].z ?? 0) < zWorse) continue
    const subject = kind === 'latency' ? `its ${what[kind]} ${told[kind]}` : `${told[kind]} of its ${what[kind]}`
    const reason = `Rolled back from ${weight} %: ${name} is worse beyond doubt, ${subject}, over ${sample.new} requests; allowed is ${limits[kind]}.`
    return { move: 'roll_back', weight: 0, reason, figures: seen }
  }
  const wait = (reason: string) => ({ move: 'wait', weight, reason, figures: seen }) as const
  const next = steps.find((step) => step > weight)
  if (next === undefined && steps.length === 0) return wait(`${name} stays at ${weight} % until an admin moves it.`)
  const leftSeconds = rules.stepSeconds - (nowMs - steppedAtMs) / 1000
  if (leftSeconds > 0) return wait(`${name} stays at ${weight} % for ${Math.ceil(leftSeconds)} s more.`)
  if (sample.new < rules.minSample) {
    return wait(`${name} stays at ${weight} % until ${rules.minSample} of its requests have ended; ${sample.new} have.`)
  }
  if (errors.z === undefined) {
    const text = `${name} stays at ${weight} %: no request of ${versionName(rollout.fromVersion)} ended to compare it with.`
    return wait(text)
  }
  for (const kind of ['errors', 'checks', 'latency'] as const) {
    if ((seen[kind].z ?? -1) <= 0) continue
    return wait(`${name} stays at ${weight} %: ${told[kind]} looks worse than is allowed, not yet beyond doubt.`)
  }
  const fine = `${told.errors} of its requests failed and its answers took ${told.latency}, over ${sample.new} requests`
  if (next === undefined) {
    return { move: 'promote', weight: 100, reason: `Promoted: at ${weight} %, ${fine}.`, figures: seen }
  }
  return { move: 'step', weight: next, reason: `From ${weight} % to ${next} %: ${fine}.`, figures: seen }
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}

function percents({ new: after, old }: Compared): string {
  return `${percent(after)} (${percent(old)} before)`
}

function times({ new: after, old, z }: Compared): string {
  return z === undefined
    ? 'a time that could not be compared'
    : `${Math.round(after)} ms (${Math.round(old)} ms before)`
}
