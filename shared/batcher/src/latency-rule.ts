import type { PrefillPace } from './prefill-pace.ts'
import type { Objective } from './request.ts'
import type { StepCost } from './step-cost.ts'

/** What the engine has before it, as the rule needs to know it. */
export interface StepOutlook {
  readonly nowMs: number
  /** Requests in the next step, the one in question included. */
  readonly requests: number
  /** Since when the live request waits that has waited longest for its first token; undefined when none does. */
  readonly pendingSinceMs: number | undefined
  /** Live requests that come in a second, just now. */
  readonly livePerSecond: number
  /** That is fewer than usual. */
  readonly quiet: boolean
}

/**
 * How long a batch prompt may be, if it is to be sent now, for the sake of the live requests that are here and those
 * that may come.
 *
 * A live request waits for the rest of the step under way and then for the step that computes its own prompt; between
 * two of its tokens lies one step. So the next step is reckoned with the prompt in it, against what the objective
 * leaves. How much of the objective may be used is found by tracking a quantile: each live request in time raises the
 * share a little, each late one lowers it much more, so that it rests where the objective is just held.
 *
 * A prompt too long for any step beside live requests has its turn when few of them come. Those that will be late for
 * it are reckoned beforehand and paid from an allowance: a fixed share of all live requests. Up to a further share of
 * the objective nobody is reckoned to be late, and such a prompt is free; that share is tracked in the same way, by the
 * live requests beside free prompts, for the reckoning may be wrong.
 */
export interface LatencyRule {
  /** Prompt tokens that one more request may bring into the next step; negative when there is no room for it at all. */
  room(outlook: StepOutlook): number
  /** Call when a request that had room is sent: if it is a long one, it is paid for. */
  sent(outlook: StepOutlook, promptTokens: number): void
  /** A live request that came at `cameMs` got its first token. */
  firstToken(cameMs: number, nowMs: number, promptTokens: number): void
  interToken(gapMs: number): void
}

// Late ones that the tracking rests at, of all; with the allowance a little under the hundredth of a 99th percentile.
const lateShares = { ttft: 0.005, interToken: 0.008, quiet: 0.01 } as const
const allowanceShare = 0.0035
const allowanceMax = 2
// By chance more are late than were reckoned; so many are taken to be paid for.
const paidMax = 3
// How far one observation moves a share, as a power of e. Live tokens are far more numerous than first tokens.
const gains = { ttft: 0.06, interToken: 0.002, quiet: 0.03 } as const
// Without an objective: three times what an engine that does nothing else takes, and at least what nobody notices.
const stretch = 3
const unnoticedMs = 100
const learnt = 0.05
const kept = 0.998
// A step may use so much of the objective, for free, while few live requests come; less once some are late for it.
const quietShareMax = 0.9

/** Starts by using most of the objective. */
export function makeLatencyRule(options: { objective: Objective; cost: StepCost; pace: PrefillPace }): LatencyRule {
  const { cost, objective, pace } = options
  const ttft = makeShare({ start: 0.7, max: 1.25, gain: gains.ttft, lateShare: lateShares.ttft })
  const interToken = makeShare({ start: 0.8, max: 1.25, gain: gains.interToken, lateShare: lateShares.interToken })
  const quiet = makeShare({ start: quietShareMax, max: quietShareMax, gain: gains.quiet, lateShare: lateShares.quiet })
  let allowance = 0
  /** Late by the allowance: as many as came, and as many as were reckoned, lately. */
  let seen = 0
  let reckoned = 0
  /** Live requests that come before this time came beside a long prompt. */
  let longUntilMs = 0
  /** Late ones that were paid for and have not been seen. */
  let paid = paidMax
  /** Prompts of live requests: their mean, and how far they lie from it. */
  let meanPrompt = 200
  let spread = 100

  const ownTokens = () => meanPrompt + spread
  const objectiveMs = () =>
    objective.ttftP99Ms ?? Math.max(unnoticedMs, stretch * (cost.stepMs(1, 0) + cost.stepMs(1, ownTokens())))
  /** What is left of the step under way. */
  const restMs = ({ nowMs, requests }: StepOutlook) => {
    const underWayMs = cost.stepMs(requests, pace.now)
    return Math.max(0, underWayMs - Math.min(underWayMs, nowMs - pace.stepBeganMs))
  }

  /** As long as the next step may be for those that are here, and for those that come early in it. */
  function stepMaxMs(outlook: StepOutlook): number {
    const { nowMs, pendingSinceMs, requests } = outlook
    const limitMs = ttft.value() * objectiveMs()
    const ownMs = cost.perPrefillTokenMs * ownTokens()
    const waitedMs = pendingSinceMs === undefined ? 0 : nowMs - pendingSinceMs
    return Math.min(
      interToken.value() * (objective.interTokenP99Ms ?? Number.POSITIVE_INFINITY),
      limitMs - cost.stepMs(requests, ownTokens()),
      limitMs - restMs(outlook) - Math.max(ownMs, waitedMs),
    )
  }

  /** Live requests that will be late for a next step of this length. */
  function lateFor(stepMs: number, outlook: StepOutlook): number {
    const waitMs = restMs(outlook) + stepMs + cost.stepMs(outlook.requests, ownTokens())
    return lateRate(outlook) * Math.max(0, waitMs - quiet.value() * objectiveMs())
  }
  const lateRate = ({ livePerSecond }: StepOutlook) => ((seen + 1) / (reckoned + 0.5)) * (livePerSecond / 1000)

  /** As long as the next step may be for what the allowance can pay. */
  function paidStepMs(outlook: StepOutlook): number {
    const { pendingSinceMs, requests } = outlook
    if (!outlook.quiet || pendingSinceMs !== undefined) return 0
    const restsMs = cost.stepMs(requests, ownTokens())
    // What decodes now will still be there when more live requests come; only a prompt's time passes.
    if (cost.stepMs(requests, 0) + restsMs > ttft.value() * objectiveMs()) return 0
    const freeMs = quiet.value() * objectiveMs() - restMs(outlook) - restsMs
    const plannedMs = cost.stepMs(requests, pace.next)
    const boughtMs = Math.max(0, allowance) / Math.max(1e-6, lateRate(outlook))
    return Math.max(freeMs, plannedMs) + boughtMs
  }

  const plannedMs = ({ requests }: StepOutlook) => cost.stepMs(requests, pace.next)

  return {
    room: (outlook) =>
      (Math.max(stepMaxMs(outlook), paidStepMs(outlook)) - plannedMs(outlook)) / cost.perPrefillTokenMs,
    sent(outlook, promptTokens) {
      const beforeMs = plannedMs(outlook)
      const stepMs = beforeMs + promptTokens * cost.perPrefillTokenMs
      if (stepMs <= stepMaxMs(outlook)) return
      const late = lateFor(stepMs, outlook) - lateFor(beforeMs, outlook)
      allowance = Math.max(-allowanceMax, allowance - late)
      reckoned += late / ((seen + 1) / (reckoned + 0.5))
      paid = Math.min(paidMax, paid + late)
      longUntilMs = outlook.nowMs + restMs(outlook) + stepMs
    },
    firstToken(cameMs, nowMs, promptTokens) {
      meanPrompt += learnt * (promptTokens - meanPrompt)
      spread += learnt * (Math.abs(promptTokens - meanPrompt) - spread)
      allowance = Math.min(allowanceMax, allowance + allowanceShare)
      const late = nowMs - cameMs > objectiveMs()
      const isBesideLong = cameMs <= longUntilMs
      const allowed = late && isBesideLong && paid >= 1
      if (allowed) paid--
      seen = seen * kept + (allowed ? 1 : 0)
      reckoned *= kept
      if (objective.ttftP99Ms === undefined) return
      if (isBesideLong && !allowed) quiet.observe(late)
      ttft.observe(late && !isBesideLong)
    },
    interToken(gapMs) {
      if (objective.interTokenP99Ms !== undefined) interToken.observe(gapMs > objective.interTokenP99Ms)
    },
  }
}

function makeShare(options: { start: number; max: number; gain: number; lateShare: number }) {
  const { gain, lateShare, max } = options
  let value = options.start
  return {
    value: () => value,
    observe(late: boolean) {
      value = Math.min(max, Math.max(0.05, value * Math.exp(gain * (lateShare - (late ? 1 : 0)))))
    },
  }
}
