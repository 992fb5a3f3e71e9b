import { parseArgs } from 'node:util'
import { type BatchRun, environment, runBatch, startEngine, startOnRedis, type Target } from './forebay.ts'
import { type Helper, type LoadResult, type LoadTask, round, startLoad } from './load.ts'
import { modelledRate } from './modelled-rate.ts'
import type { Workload } from './workload.ts'

export interface SaturationResult {
  /** Batch to the best direct client: requests a second while the engine is full. */
  steadyRatio: number
  /** The same from the first byte of the upload, and the direct client's first request, to the end. */
  wholeRatio: number
  /** The whole run when prompts share prefixes in random order: the batch is ordered, the direct client is not. */
  prefixRatio: number
  /** What the simulator did to what its model says for the direct client: below about 0.97 the machine is too slow for `speed`. */
  enginePace: number
  speed: number
  runs: Run[]
}

interface Run {
  what: string
  steadyPerSecond: number
  wholePerSecond: number
  /** Share of one core that the direct client used. */
  senderCpu?: number
  /** Of a batch: its first request done, its last, its end. */
  firstMs?: number
  lastMs?: number
  endedMs?: number
}

const profile = 'h100-llama-3.1-8b'

/**
 * Measures how full a batch keeps the engine, from upload to `completed`, against the best that a direct closed-loop
 * client reaches with the same requests when its concurrency is swept. The batch runs between the sweep's steps.
 */
export async function run(args: readonly string[]): Promise<SaturationResult> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      requests: { type: 'string', default: '5000' },
      'prefix-requests': { type: 'string', default: '2500' },
      speed: { type: 'string', default: '4' },
      seats: { type: 'string', default: '256' },
      concurrency: { type: 'string', default: '256,288,384' },
      /** Seats set by hand for an engine that serves batches only, instead of Forebay's defaults. */
      tuned: { type: 'boolean', default: false },
      profile: { type: 'string' },
    },
  })
  const [speed, seats] = [Number(values.speed), Number(values.seats)]
  const sweep = values.concurrency.split(',').map(Number)
  const engineArgs = ['--profile', profile, '--speed', `${speed}`, '--max-num-seqs', `${seats}`]
  const forBatches = { FOREBAY_REALTIME_SEATS: '0', FOREBAY_ENGINE_IN_FLIGHT: `${Math.round(seats * 1.125)}` }
  const env = environment({ profileDir: values.profile, settings: values.tuned ? forBatches : {} })
  const engine = await startEngine(engineArgs, env)
  const target = await startOnRedis({ engineUrl: engine.url, env })
  const load = startLoad()
  const bench = { engine, load, target, requests: Number(values.requests), runs: [] as Run[], seed: 1 }
  try {
    // A first small batch, so that code and lengths learned are those of a service that has been up.
    await runBatch(target, { ...plain(bench), requests: 300 })
    const directs: (LoadResult & { concurrency: number })[] = []
    const batches: BatchRun[] = []
    for (const concurrency of sweep) {
      directs.push({ ...(await direct(bench, plain(bench), concurrency)), concurrency })
      if (batches.length < sweep.length - 1 || sweep.length === 1) batches.push(await batch(bench, plain(bench)))
    }
    const [best] = directs.sort((a, b) => steadyOf(b) - steadyOf(a))
    if (!best) throw new Error('--concurrency names no concurrency')
    const requests = Number(values['prefix-requests'])
    const directShared = await direct(bench, shared(bench, requests), best.concurrency)
    const batchShared = await batch(bench, shared(bench, requests))
    return {
      steadyRatio: round(mean(batches.map((each) => each.steadyPerSecond)) / steadyOf(best)),
      wholeRatio: round(wholeMs(best) / mean(batches.map((each) => each.endedMs))),
      prefixRatio: round(wholeMs(directShared) / batchShared.endedMs),
      enginePace: round(
        steadyOf(best) / modelledRate({ profile, seats, speed, concurrency: best.concurrency, ended: best.ended }),
      ),
      speed,
      runs: bench.runs,
    }
  } finally {
    await load.stop()
    await target.stop()
    await engine.stop()
  }
}

interface Bench {
  engine: { url: string; model: string }
  load: Helper<LoadTask, LoadResult>
  target: Target
  requests: number
  runs: Run[]
  /** Of the next workload: none is run twice, since the engine would still know its prompts. */
  seed: number
}

function plain(bench: Bench): Workload {
  const { engine, requests } = bench
  return { model: engine.model, requests, promptWords: 100, maxTokens: 512, seed: bench.seed++ }
}

/** More prefixes than the engine's memory holds, each shared by ten requests. */
function shared(bench: Bench, requests: number): Workload {
  return { ...plain(bench), requests, prefixes: { groups: Math.ceil(requests / 10), words: 1500 } }
}

async function direct(bench: Bench, workload: Workload, concurrency: number): Promise<LoadResult> {
  const result = await bench.load.run({ kind: 'closed', url: bench.engine.url, concurrency, workload })
  if (result.failed > 0) throw new Error(`${result.failed} requests of the direct client failed`)
  bench.runs.push({
    what: `direct, ${concurrency} under way${workload.prefixes ? ', shared prefixes' : ''}`,
    steadyPerSecond: round(steadyOf(result)),
    wholePerSecond: round((workload.requests * 1000) / wholeMs(result)),
    senderCpu: round(result.senderCpu),
  })
  return result
}

async function batch(bench: Bench, workload: Workload): Promise<BatchRun> {
  const result = await runBatch(bench.target, workload)
  const { endedMs, firstMs, lastMs, steadyPerSecond } = result
  bench.runs.push({
    what: `batch${workload.prefixes ? ', shared prefixes' : ''}`,
    steadyPerSecond: round(steadyPerSecond),
    wholePerSecond: round((workload.requests * 1000) / endedMs),
    firstMs: Math.round(firstMs),
    lastMs: Math.round(lastMs),
    endedMs: Math.round(endedMs),
  })
  return result
}

/** Requests a second between a tenth done and nine tenths done, as for a batch. */
function steadyOf({ ended }: LoadResult): number {
  const [from, to] = [Math.floor(0.1 * ended.length), Math.floor(0.9 * ended.length)]
  return ((to - from) * 1000) / ((ended[to]?.atMs ?? 0) - (ended[from]?.atMs ?? 0))
}

function wholeMs({ ended }: LoadResult): number {
  return ended.at(-1)?.atMs ?? Number.NaN
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0) / numbers.length
}
