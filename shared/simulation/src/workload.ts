import type { Lane } from '@forebay/contracts'
import { makeRandom } from './random.ts'

/** A request to be played against a simulated engine. */
export interface SimRequest {
  readonly id: string
  readonly lane: Lane
  /** When it comes, in milliseconds from the start. */
  readonly atMs: number
  readonly promptTokens: number
  readonly outputTokens: number
  /** What the request itself allows (`max_tokens`): all that is known before it has run. */
  readonly outputTokensMax: number
  /** 0: shares its prompt with no other. */
  readonly prefixGroup: number
  /** Leading prompt tokens that it shares with its group. */
  readonly prefixTokens: number
}

const batchOutputMax = 512
const liveOutputMax = 400
const groupSize = 25
const groupedShare = 0.4

/**
 * Lines of a batch of documents: prompts of 450 tokens in the middle and at most 4,000, outputs of 180 and at most 512;
 * two in five share the first 192 tokens with 24 others. In the order of a plan: groups together.
 */
export function batchLines(options: { lines: number; seed: number }): SimRequest[] {
  const random = makeRandom(options.seed)
  const requests: SimRequest[] = []
  let group = 0
  while (requests.length < options.lines) {
    const grouped = random.next() < groupedShare / (groupedShare + (1 - groupedShare) * groupSize)
    if (grouped) group++
    for (let i = 0; i < (grouped ? groupSize : 1) && requests.length < options.lines; i++) {
      const prefixTokens = grouped ? 192 : 0
      requests.push({
        id: `line-${requests.length + 1}`,
        lane: 'batch',
        atMs: 0,
        promptTokens: prefixTokens + random.tokens(450 - prefixTokens, 0.8, 4_000 - prefixTokens),
        outputTokens: random.tokens(180, 0.6, batchOutputMax),
        outputTokensMax: batchOutputMax,
        prefixGroup: grouped ? group : 0,
        prefixTokens,
      })
    }
  }
  return requests
}

/** How live traffic comes: Poisson, at one rate during bursts and at another between them. */
export interface Bursts {
  onPerSecond: number
  offPerSecond: number
  /** Mean lengths; each is drawn from an exponential distribution. */
  onMs: number
  offMs: number
}

/** Live chat requests: prompts of 200 tokens in the middle and at most 1,500, outputs of 100 and at most 400. */
export function burstyLive(options: { durationMs: number; seed: number; bursts: Bursts }): SimRequest[] {
  const { bursts, durationMs } = options
  const random = makeRandom(options.seed)
  const requests: SimRequest[] = []
  for (let fromMs = 0, on = false; fromMs < durationMs; on = !on) {
    const untilMs = Math.min(durationMs, fromMs + random.exponential(on ? bursts.onMs : bursts.offMs))
    const gapMs = 1000 / (on ? bursts.onPerSecond : bursts.offPerSecond)
    for (let atMs = fromMs + random.exponential(gapMs); atMs < untilMs; atMs += random.exponential(gapMs)) {
      requests.push({
        id: `live-${requests.length + 1}`,
        lane: 'realtime',
        atMs,
        promptTokens: random.tokens(200, 0.7, 1_500),
        outputTokens: random.tokens(100, 0.6, liveOutputMax),
        outputTokensMax: liveOutputMax,
        prefixGroup: 0,
        prefixTokens: 0,
      })
    }
    fromMs = untilMs
  }
  return requests
}
