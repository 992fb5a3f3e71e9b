import { parseArgs } from 'node:util'
import { makeBatcher } from '@forebay/batcher'
import { profiles } from '@forebay/engine-model'
import { ForebayError } from '@forebay/kernel'
import { batchLines, burstyLive, type Gate, makeConstantCap, type SimRequest, simulate } from '@forebay/simulation'

/** One objective, and what was reached under it. */
interface Level {
  /** Milliseconds to a live request's first token, at the 99th percentile: this multiple of the same without batch. */
  times: number
  slo: number
  /** What was reached over what was asked for; held when at most 1.05. */
  ttftP99Ratio: number
  /** Batch tokens a second, over the most that the engine gives a batch alone. */
  batchShare: number
  /** The same of the best constant cap that holds the objective as well; 0 when none does. */
  bestStaticShare: number
  bestStaticCap: number | null
  gain: number | null
}

const profile = profiles['h100-llama-3.1-8b']
const bursts = { onPerSecond: 24, offPerSecond: 1, onMs: 6_000, offMs: 9_000 }
const seats = { start: 32, max: 2_048 }
const warmUpMs = 30_000
const tolerance = 1.05
const times = [1.5, 2, 3]
const closedLoops = [256, 384, 512, 768, 1024]
const caps = [8, 16, 24, 32, 36, 40, 44, 48, 56, 64, 72, 80, 88, 96, 112, 128, 160, 192, 208, 224, 240, 256, 320, 512]

/**
 * Bursty live traffic alone, then beside a batch, on simulated time with the real batcher and the engine model: what
 * is held of an objective for the live requests, and what the batch gets meanwhile. The constant caps it is compared
 * with take requests in the same order, live ones first, and hold the same bound on KV memory; each is tried, and the
 * best that holds the objective is taken. Rates and times count from the 30th second on: no ramp is judged.
 */
export async function run(args: readonly string[]): Promise<object> {
  const { values } = parseArgs({
    args: [...args],
    options: { seconds: { type: 'string' }, lines: { type: 'string' }, seed: { type: 'string' } },
  })
  const untilMs = number('seconds', values.seconds ?? '400', 60) * 1000
  const lines = number('lines', values.lines ?? '20000', 1)
  const seed = number('seed', values.seed ?? '1', 0)
  const live = burstyLive({ durationMs: untilMs, seed: seed + 1000, bursts })
  const batch = batchLines({ lines, seed })
  const play = (gate: Gate, requests: readonly SimRequest[]) => {
    const { batch: work, realtime } = simulate({ profile, gate, requests, untilMs, measureFromMs: warmUpMs })
    return { ttftP99: realtime.ttftMs.p99, tokensPerSecond: work.tokensPerSecond }
  }

  const alone = play(makeConstantCap({ cap: 1 }), live)
  const closed = closedLoops.map((cap) => play(makeConstantCap({ cap }), batch).tokensPerSecond)
  const best = Math.max(...closed)
  const own = play(makeBatcher({ seats }), batch).tokensPerSecond
  const beside = [...batch, ...live]
  const swept = caps.map((cap) => ({ cap, ...play(makeConstantCap({ cap }), beside) }))

  const levels = times.map((multiple): Level => {
    const slo = alone.ttftP99 * multiple
    const reached = play(makeBatcher({ seats, objective: { ttftP99Ms: slo } }), beside)
    const holding = swept.filter(({ ttftP99 }) => ttftP99 <= slo * tolerance)
    const top = holding.sort((a, b) => b.tokensPerSecond - a.tokensPerSecond)[0]
    return {
      times: multiple,
      slo: round(slo, 1),
      ttftP99Ratio: round(reached.ttftP99 / slo, 3),
      batchShare: round(reached.tokensPerSecond / best, 3),
      bestStaticShare: round((top?.tokensPerSecond ?? 0) / best, 3),
      bestStaticCap: top?.cap ?? null,
      gain: top ? round(reached.tokensPerSecond / top.tokensPerSecond, 3) : null,
    }
  })
  return {
    engine: profile.name,
    liveRequests: live.length,
    ttftP99AloneMs: round(alone.ttftP99, 1),
    /** The batcher's own throughput with a batch and nothing else, over that of the best closed loop. */
    aloneShare: round(own / best, 3),
    levels,
    caps: swept.map(({ cap, tokensPerSecond, ttftP99 }) => ({
      cap,
      ttftP99Ms: round(ttftP99, 1),
      batchShare: round(tokensPerSecond / best, 3),
    })),
  }
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}

function number(name: string, text: string, min: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= min) return value
  throw new ForebayError('invalid_value', `--${name} ${text}: give a whole number from ${min}.`)
}
