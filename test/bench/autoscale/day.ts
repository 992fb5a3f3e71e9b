import type { SimRequest } from '@forebay/simulation'

/** A batch of the day. Times in milliseconds from its start. */
export interface DayBatch {
  readonly atMs: number
  readonly deadlineMs: number
  readonly tokens: number
  readonly requests: number
}

/** What comes in the course of a day, cut into steps. */
export interface Day {
  readonly stepMs: number
  readonly durationMs: number
  /** Live requests and their tokens, step by step. */
  readonly live: readonly { requests: number; tokens: number }[]
  readonly batches: readonly DayBatch[]
}

/** Simulated time moves in steps of this length. */
export const stepMs = 5_000
const hourMs = 3_600_000
const liveTokens = 400
const tokensPerLine = 800

/**
 * A bursty day: live traffic that follows the hours (next to nothing at night, two humps by day, noise of a Poisson
 * process), a dozen bursts of minutes on top of it, and bulk batches of very different sizes, due within an hour, four
 * hours, or by the end of the day. `replicaRate` scales all of it: tokens a second of one replica.
 */
export function burstyDay(options: { seed: number; hours: number; replicaRate: number; peakReplicas: number }): Day {
  const random = makeRandom(options.seed)
  const durationMs = options.hours * hourMs
  const peakRate = options.peakReplicas * options.replicaRate
  const bursts = Array.from({ length: Math.round(options.hours / 2) }, () => ({
    fromMs: random() * durationMs,
    rampMs: (4 + 5 * random()) * 60_000,
    lengthMs: (12 + 20 * random()) * 60_000,
    times: 0.3 + 0.7 * random(),
  }))
  const live = Array.from({ length: durationMs / stepMs }, (_, i) => {
    const atMs = i * stepMs
    const burst = bursts.reduce((sum, each) => sum + each.times * shapeOf(each, atMs), 0)
    const rate = peakRate * hourShare((atMs / hourMs) % 24) * (1 + burst)
    const requests = poisson((rate * stepMs) / 1000 / liveTokens, random)
    return { requests, tokens: requests * liveTokens }
  })
  const meanTokens = live.reduce((sum, { tokens }) => sum + tokens, 0) * 0.6
  return { stepMs, durationMs, live, batches: bulk({ random, durationMs, tokens: meanTokens, perHour: 1.5 }) }
}

/** A day whose live traffic is a recorded trace, with bulk batches drawn for its length. */
export function dayOfTrace(requests: readonly SimRequest[], options: { seed: number }): Day {
  const lastMs = requests.reduce((max, { atMs }) => Math.max(max, atMs), 0)
  const steps = Math.ceil((lastMs + 1) / stepMs)
  const live = Array.from({ length: steps }, () => ({ requests: 0, tokens: 0 }))
  for (const { atMs, outputTokens, promptTokens } of requests) {
    const step = live[Math.floor(atMs / stepMs)]
    if (!step) continue
    step.requests++
    step.tokens += promptTokens + outputTokens
  }
  const tokens = live.reduce((sum, step) => sum + step.tokens, 0) * 0.6
  const durationMs = steps * stepMs
  return {
    stepMs,
    durationMs,
    live,
    batches: bulk({ random: makeRandom(options.seed), durationMs, tokens, perHour: 4 }),
  }
}

function bulk(options: { random: () => number; durationMs: number; tokens: number; perHour: number }): DayBatch[] {
  const { durationMs, perHour, random } = options
  const count = Math.max(2, Math.round((durationMs / hourMs) * perHour))
  const sizes = Array.from({ length: count }, () => Math.exp(1.2 * normal(random)))
  const total = sizes.reduce((sum, size) => sum + size, 0)
  return sizes
    .map((size): DayBatch => {
      const tokens = Math.ceil((options.tokens * size) / total)
      const atMs = Math.floor((random() * durationMs * 0.85) / stepMs) * stepMs
      const pick = random()
      const windowMs = pick < 0.3 ? hourMs : pick < 0.6 ? 4 * hourMs : durationMs
      const deadlineMs = Math.min(durationMs, atMs + windowMs)
      return { atMs, deadlineMs, tokens, requests: Math.ceil(tokens / tokensPerLine) }
    })
    .sort((a, b) => a.atMs - b.atMs)
}

function shapeOf(burst: { fromMs: number; rampMs: number; lengthMs: number }, atMs: number): number {
  const sinceMs = atMs - burst.fromMs
  if (sinceMs < 0 || sinceMs > burst.lengthMs) return 0
  return Math.min(1, sinceMs / burst.rampMs, (burst.lengthMs - sinceMs) / burst.rampMs)
}

/** The share of the peak at an hour of the day: humps at 10:30 and 15:30, quiet from midnight to six. */
function hourShare(hour: number): number {
  const hump = (at: number, width: number) => Math.exp(-(((hour - at) / width) ** 2))
  return 0.04 + 0.75 * hump(10.5, 2.2) + 0.85 * hump(15.5, 2.6) + 0.25 * hump(20, 1.8)
}

function poisson(mean: number, random: () => number): number {
  if (mean > 30) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)))
  let [product, count] = [random(), 0]
  for (const floor = Math.exp(-mean); product > floor; count++) product *= random()
  return count
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

function makeRandom(seed: number): () => number {
  let state = (Math.imul(seed, 2_654_435_761) + 1) >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
