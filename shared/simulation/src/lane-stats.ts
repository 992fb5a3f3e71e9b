import { percentile } from './percentile.ts'
import type { SimRequest } from './workload.ts'

/** Percentiles of a time, in milliseconds. */
export interface Percentiles {
  p50: number
  p90: number
  p99: number
}

/** What a lane got. */
export interface LaneReport {
  /** Answered in full. */
  requests: number
  /** Prompt and output of what was answered, over the whole run. */
  tokensPerSecond: number
  requestsPerSecond: number
  /** From the request's coming to its first token; realtime only, as the others are not streamed. */
  ttftMs: Percentiles
  interTokenMs: Percentiles
}

/** Gathers what happens to one lane. */
export interface LaneStats {
  /** A live request came. */
  arrived(request: SimRequest): void
  /** A token came; `generated` counts them from 1, and goes back to 1 when the request ran again. */
  token(request: SimRequest, generated: number, nowMs: number): void
  finished(request: SimRequest, nowMs: number): void
  report(untilMs: number): LaneReport
}

/** Counts only what comes, or for work that nobody waits for ends, at `fromMs` or later. */
export function makeLaneStats(fromMs: number): LaneStats {
  const ttfts: number[] = []
  const unseen = new Map<string, number>()
  const gaps: number[] = []
  const lastMs = new Map<string, number>()
  let requests = 0
  let tokens = 0
  const percentiles = (values: readonly number[]): Percentiles => ({
    p50: percentile(values, 0.5),
    p90: percentile(values, 0.9),
    p99: percentile(values, 0.99),
  })
  const perSecond = (count: number, untilMs: number) => (untilMs <= fromMs ? 0 : (count / (untilMs - fromMs)) * 1000)
  return {
    arrived(request) {
      if (request.atMs >= fromMs) unseen.set(request.id, request.atMs)
    },
    token(request, generated, nowMs) {
      if (request.atMs < fromMs) return
      unseen.delete(request.id)
      const last = lastMs.get(request.id)
      if (last === undefined) ttfts.push(nowMs - request.atMs)
      else if (generated > 1) gaps.push(nowMs - last)
      lastMs.set(request.id, nowMs)
    },
    finished(request, nowMs) {
      unseen.delete(request.id)
      if (nowMs < fromMs) return
      requests++
      tokens += request.promptTokens + request.outputTokens
      lastMs.delete(request.id)
    },
    report: (untilMs) => ({
      requests,
      tokensPerSecond: perSecond(tokens, untilMs),
      requestsPerSecond: perSecond(requests, untilMs),
      // Those that still wait have waited so long already.
      ttftMs: percentiles([...ttfts, ...[...unseen.values()].map((atMs) => untilMs - atMs)]),
      interTokenMs: percentiles(gaps),
    }),
  }
}
