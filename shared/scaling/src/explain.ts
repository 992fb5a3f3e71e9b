import { stuckAfter } from './arrivals.ts'
import type { Need } from './place-replicas.ts'

/** What a sentence about a decision is made of. */
export interface Told {
  readonly before: number
  readonly desired: number
  readonly ready: number
  readonly warming: number
  /** What the load asks for. */
  readonly wanted: number
  readonly need: Need | undefined
  /** True when all that may be asked for is not enough. */
  readonly short: boolean
  readonly nowMs: number
  readonly minReplicas: number
  readonly maxReplicas: number
  readonly coldStartMs: number
  readonly tokensPerSecond: number
  readonly stuck: boolean
  readonly closed: string | undefined
  readonly oldestWarmingMs: number
  /** True when replicas should have come by now. */
  readonly late: boolean
}

/** The decision in one sentence, with the numbers that it stands on. */
export function explain(told: Told): string {
  const { before, closed, desired, stuck } = told
  if (closed !== undefined) return `Stays at ${desired}: the pool ${closed}.`
  if (stuck) return stuckText(told)
  const what =
    desired > before
      ? `Up from ${before} to ${desired}`
      : desired < before
        ? `Down from ${before} to ${desired}`
        : `Stays at ${desired}`
  return `${what}: ${why(told)}${told.late ? lateText(told) : ''}.`
}

function why(told: Told): string {
  const { before, desired, late, maxReplicas, minReplicas, short, wanted, warming } = told
  const cause = needText(told)
  if (short && desired >= maxReplicas) return `${cause}, more than maxReplicas ${maxReplicas} can do`
  if (desired < wanted) return `${cause}, which asks for ${wanted}; more follow in the next step`
  if (desired < before) return `${cause} and fewer have sufficed for a while`
  if (desired > wanted && desired > minReplicas)
    return `${cause} asks for ${wanted}, which has not sufficed for long enough to go down`
  return warming > 0 && desired === before && !late ? `${cause}; ${warming} on the way` : cause
}

function needText({ need, nowMs, tokensPerSecond, minReplicas, wanted }: Told): string {
  const each = `${count(tokensPerSecond)} tokens/s each`
  if (wanted === 0 || need === undefined) return 'nothing is to be done'
  if (need.kind === 'least') return `minReplicas is ${minReplicas} and more is not needed`
  if (need.kind === 'due') {
    return `${count(need.tokens)} tokens are due within ${duration(need.deadlineMs - nowMs)} at ${each}`
  }
  if (need.pressed) return `live requests get their first token too late at ${each}`
  return `live traffic needs ${count(need.rate)} tokens/s at ${each}`
}

function lateText({ coldStartMs, oldestWarmingMs, warming }: Told): string {
  return `; of ${warming} on the way the first was asked for ${duration(oldestWarmingMs)} ago and is late (a cold start takes ${duration(coldStartMs)})`
}

function stuckText({ coldStartMs, desired, oldestWarmingMs, ready }: Told): string {
  const missing = Math.max(0, desired - ready)
  return `Stays at ${desired}: ${missing} of them asked for ${duration(oldestWarmingMs)} ago do not come (a cold start takes ${duration(coldStartMs)}, and ${stuckAfter} times that has passed), so no more are asked for.`
}

function count(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`
  return value >= 10_000 ? `${Math.round(value / 1000)}k` : String(Math.round(value))
}

function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 120 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`
}
