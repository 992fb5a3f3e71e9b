import type { Clock } from '@forebay/kernel'
import { exitCodes, Failure } from '../failure.ts'
import { askEngine, type EngineAddress } from './engine-call.ts'

/** What is sent: closed loops of whole answers, each prompt another. */
export interface BenchLoad {
  model: string
  /** Requests in flight at once, one run for each. */
  concurrency: readonly number[]
  /** Requests of a run; undefined: 8 for each in flight, 32 at least. */
  requests?: number | undefined
  /** About so many tokens of prompt, and at most so many of output. */
  promptTokens: number
  maxTokens: number
}

/** One run. Latencies are of what succeeded, in ms. */
export interface BenchRun {
  readonly concurrency: number
  readonly requests: number
  readonly failed: number
  readonly p50Ms: number | null
  readonly p95Ms: number | null
  /** Answers a second that succeeded. */
  readonly requestsPerSecond: number
  readonly promptTokensPerSecond: number
  readonly outputTokensPerSecond: number
}

/**
 * Runs the load once for each concurrency, each after a warm-up that is not counted. Throws a Failure when the warm-up
 * gets no answer: then nothing that follows would tell anything.
 */
export async function benchEngine(options: {
  engine: EngineAddress
  load: BenchLoad
  clock: Clock
  signal: AbortSignal
  onRun: (run: BenchRun) => void
}): Promise<BenchRun[]> {
  const { clock, engine, load, onRun, signal } = options
  let serial = 0
  const ask = () => {
    const body = { model: load.model, max_tokens: load.maxTokens, temperature: 0, messages: promptOf(serial++, load) }
    return askEngine({ engine, body, clock, signal })
  }
  const runs: BenchRun[] = []
  for (const concurrency of load.concurrency) {
    const warmed = await Promise.all(Array.from({ length: concurrency }, ask))
    const refused = warmed.find(({ why }) => why !== null)
    if (refused && warmed.every(({ why }) => why !== null)) {
      throw new Failure(exitCodes.other, `${engine.url} answers no request for ${load.model}: ${refused.why}`)
    }
    const requests = load.requests ?? Math.max(32, concurrency * 8)
    const startedMs = clock.now()
    const answers: Awaited<ReturnType<typeof ask>>[] = []
    let sent = 0
    const loop = async () => {
      while (sent < requests) {
        sent++
        answers.push(await ask())
      }
    }
    await Promise.all(Array.from({ length: Math.min(concurrency, requests) }, loop))
    const seconds = Math.max(0.001, (clock.now() - startedMs) / 1000)
    const good = answers.filter(({ why }) => why === null)
    const times = good.map(({ ms }) => ms).sort((a, b) => a - b)
    const sum = (of: 'promptTokens' | 'outputTokens') => good.reduce((all, each) => all + each[of], 0)
    const run = {
      ...{
        concurrency,
        requests,
        failed: requests - good.length,
        p50Ms: quantile(times, 0.5),
        p95Ms: quantile(times, 0.95),
      },
      requestsPerSecond: good.length / seconds,
      promptTokensPerSecond: sum('promptTokens') / seconds,
      outputTokensPerSecond: sum('outputTokens') / seconds,
    }
    onRun(run)
    runs.push(run)
  }
  return runs
}

/** The value that so large a share of the sorted values does not exceed; null of none. */
function quantile(sorted: readonly number[], share: number): number | null {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null
}

// The number stands first, so that no prefix cache helps; a word is about a token.
function promptOf(serial: number, { promptTokens }: BenchLoad) {
  const words = Array.from({ length: Math.max(1, promptTokens - 4) }, (_, i) => (i % 7 === 0 ? 'river' : 'and'))
  return [{ role: 'user', content: `${serial}. ${words.join(' ')}` }]
}
