import {
  type Compared,
  compareLatency,
  compareShares,
  type QualityFigures,
  sampleOf,
  type VersionFigures,
} from './compare-versions.ts'
import { type Rollout, versionName } from './rollout.ts'

/** One-sided one in two thousand: it is looked at again and again, and each look may be wrong. */
const zWorse = 3.29
/** A version that fails altogether need not wait for the whole sample. */
const worseSampleMin = 20

/** In the order in which they are told. */
const kinds = ['errors', 'checks', 'judged', 'repetition', 'perplexity', 'latency'] as const
type Kind = (typeof kinds)[number]

/** What is to become of a rollout now, with the reason in one sentence. */
export interface RolloutVerdict {
  readonly move: 'wait' | 'step' | 'promote' | 'roll_back'
  /** The weight after it. */
  readonly weight: number
  readonly reason: string
  /** Each with how many of the new version's answers it is of. */
  readonly figures: { readonly sample: { readonly old: number; readonly new: number } } & Readonly<
    Record<Kind, Compared & { readonly sample: number }>
  >
}

/**
 * Judges a running rollout by what ended of both versions: back as soon as the new one is worse than its margin allows
 * beyond doubt, on when it has been at its weight for long enough with a whole sample that looks no worse, else it waits.
 * What is known of the quality of few answers only is not looked at. Pure.
 */
export function judgeRollout(
  rollout: Pick<Rollout, 'weight' | 'steps' | 'rules' | 'fromVersion' | 'toVersion' | 'steppedAtMs'>,
  figures: VersionFigures,
  nowMs: number,
  quality: QualityFigures = { judged: none, repetition: none, perplexity: none },
): RolloutVerdict {
  const { rules, steppedAtMs, steps, weight } = rollout
  const sample = { old: sampleOf(figures.from), new: sampleOf(figures.to) }
  const ofQuality = (kind: keyof QualityFigures) => ({
    ...compareShares(quality[kind], ({ bad }) => bad, rules.qualityMargin),
    sample: sampleOf(quality[kind].to),
  })
  const seen = {
    sample,
    errors: { ...compareShares(figures, ({ failed }) => failed, rules.errorMargin), sample: sample.new },
    checks: { ...compareShares(figures, ({ checksFailed }) => checksFailed, rules.qualityMargin), sample: sample.new },
    judged: ofQuality('judged'),
    repetition: ofQuality('repetition'),
    perplexity: ofQuality('perplexity'),
    latency: { ...compareLatency(figures, rules.latencyRatio), sample: sample.new },
  }
  const toldOf = (kind: Kind) => (kind === 'latency' ? times(seen.latency) : percents(seen[kind]))
  const limitOf = (kind: Kind) => {
    if (kind === 'latency') return `${rules.latencyRatio} times as long`
    if (kind === 'errors') return `${percent(rules.errorMargin)} more than ${versionName(rollout.fromVersion)}`
    return `${percent(rules.qualityMargin)} more`
  }
  const name = versionName(rollout.toVersion)
  for (const kind of kinds) {
    if (seen[kind].sample < worseSampleMin || (seen[kind].z ?? 0) < zWorse) continue
    const subject = kind === 'latency' ? `its ${what[kind]} ${toldOf(kind)}` : `${toldOf(kind)} of its ${what[kind]}`
    const reason = `Rolled back from ${weight} %: ${name} is worse beyond doubt, ${subject}, over ${seen[kind].sample} requests; allowed is ${limitOf(kind)}.`
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
  if (seen.errors.z === undefined) {
    const text = `${name} stays at ${weight} %: no request of ${versionName(rollout.fromVersion)} ended to compare it with.`
    return wait(text)
  }
  for (const kind of kinds) {
    if (seen[kind].sample < worseSampleMin || (seen[kind].z ?? -1) <= 0) continue
    return wait(`${name} stays at ${weight} %: ${toldOf(kind)} looks worse than is allowed, not yet beyond doubt.`)
  }
  const fine = `${toldOf('errors')} of its requests failed and its answers took ${toldOf('latency')}, over ${sample.new} requests`
  if (next === undefined) {
    return { move: 'promote', weight: 100, reason: `Promoted: at ${weight} %, ${fine}.`, figures: seen }
  }
  return { move: 'step', weight: next, reason: `From ${weight} % to ${next} %: ${fine}.`, figures: seen }
}

const none = { from: [], to: [] }
const what: Readonly<Record<Kind, string>> = {
  errors: 'requests fail',
  checks: 'answers fail their check',
  judged: 'answers are flagged by the judge',
  repetition: 'answers repeat themselves',
  perplexity: 'answers are over the limit of perplexity',
  latency: 'answers take',
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
