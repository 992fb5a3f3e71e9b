import { parseArgs } from 'node:util'
import type { Running } from '@forebay/kernel'
import { environment, startEmbedded, startEngine, startOnRedis, type Target } from './forebay.ts'
import { type Helper, type LoadResult, type LoadTask, percentile, round, startLoad } from './load.ts'
import { cpuPerRequest, processCpu } from './process-cpu.ts'

export interface OverheadPoint {
  ratePerSecond: number
  addedP50Ms: number
  addedP99Ms: number
  directP50Ms: number
  directP99Ms: number
  failed: number
  /** Share of one core that the sender used. */
  senderCpu: number
  /** Microseconds of CPU per request by process. */
  cpuMicros: Record<string, number>
}

export interface FormOverhead {
  points: OverheadPoint[]
  /** Highest rate tried with an added p99 of at most 25 ms and no failure. */
  maxRatePerSecond: number
}

const addedP99MsMax = 25
const engineMs = 40
const warmUpRequests = 4000

/**
 * Measures what gateway, queue and worker add to a live request whose answer takes the engine 40 ms: the same Poisson
 * arrivals are sent to the engine and to Forebay, in turns. Times count from when a request was due, so that a queue
 * before the sender counts too. On Redis with each process its own; then the same in one process on embedded Postgres.
 */
export async function run(args: readonly string[]): Promise<Partial<FormOverhead> & { embedded?: FormOverhead }> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rates: { type: 'string', default: '50,200,500' },
      seconds: { type: 'string', default: '5' },
      turns: { type: 'string', default: '2' },
      profile: { type: 'string' },
      form: { type: 'string', default: 'both' },
      'rate-max': { type: 'string', default: '4000' },
    },
  })
  const rates = values.rates.split(',').map(Number)
  const [seconds, turns] = [Number(values.seconds), Number(values.turns)]
  const env = environment({ profileDir: values.profile })
  const started: Running[] = []
  const keep = <T extends Running>(part: T): T => {
    started.unshift(part)
    return part
  }
  const load = startLoad()
  try {
    const engine = keep(await startEngine(['--fixed-ms', `${engineMs}`], env))
    const options = { load, engine, rates, rateMax: Number(values['rate-max']), seconds, turns }
    const where = { engineUrl: engine.url, env }
    const onRedis = values.form === 'embedded' ? {} : await measured(await startOnRedis(where), options)
    const embedded = values.form === 'redis' ? {} : { embedded: await measured(await startEmbedded(where), options) }
    return { ...onRedis, ...embedded }
  } finally {
    await load.stop()
    for (const part of started) await part.stop()
  }
}

interface MeasureOptions {
  load: Helper<LoadTask, LoadResult>
  engine: { url: string; model: string }
  rates: readonly number[]
  rateMax: number
  seconds: number
  turns: number
}

async function measured(target: Target, options: MeasureOptions): Promise<FormOverhead> {
  const { rates, seconds } = options
  try {
    // Until code is compiled, a request costs several times as much.
    const { load, engine } = options
    const workload = { model: engine.model, requests: warmUpRequests, promptWords: 20, maxTokens: 16, seed: 1 }
    for (const { url, apiKey } of [{ ...engine, apiKey: '' }, target]) {
      await load.run({ kind: 'closed', concurrency: 32, url, apiKey, workload })
    }
    const points: OverheadPoint[] = []
    for (const rate of rates) points.push(await measure(target, { ...options, rate, seed: rate }))
    // Beyond the rates asked for, a quarter more each time, while the bound holds.
    let last = points.at(-1)
    while (last && isGood(last)) {
      const rate = Math.round(last.ratePerSecond * 1.25)
      if (rate > options.rateMax) break
      last = await measure(target, { ...options, rate, seed: rate, seconds: Math.min(seconds, 4) })
      points.push(last)
    }
    return { points, maxRatePerSecond: Math.max(0, ...points.filter(isGood).map((point) => point.ratePerSecond)) }
  } finally {
    await target.stop()
  }
}

function isGood(point: OverheadPoint): boolean {
  return point.addedP99Ms <= addedP99MsMax && point.failed === 0
}

async function measure(
  target: Target,
  options: MeasureOptions & { rate: number; seed: number },
): Promise<OverheadPoint> {
  const { load, engine, rate, seconds, seed, turns } = options
  const direct: number[] = []
  const through: number[] = []
  let failed = 0
  let senderCpu = 0
  let cpuMicros = {}
  for (let turn = 0; turn < turns; turn++) {
    const workload = {
      model: engine.model,
      requests: Math.ceil(rate * seconds),
      promptWords: 20,
      maxTokens: 16,
      seed: seed + turn,
    }
    const common = { kind: 'open', ratePerSecond: rate, workload } as const
    const toEngine = await load.run({ ...common, url: engine.url })
    const before = processCpu()
    const toTarget = await load.run({ ...common, url: target.url, apiKey: target.apiKey })
    cpuMicros = cpuPerRequest(before, processCpu(), workload.requests)
    direct.push(...toEngine.ended.map((request) => request.tookMs))
    through.push(...toTarget.ended.map((request) => request.tookMs))
    failed += toEngine.failed + toTarget.failed
    senderCpu = Math.max(senderCpu, toEngine.senderCpu, toTarget.senderCpu)
  }
  const added = (share: number) => round(percentile(through, share) - percentile(direct, share))
  return {
    ratePerSecond: rate,
    addedP50Ms: added(0.5),
    addedP99Ms: added(0.99),
    directP50Ms: round(percentile(direct, 0.5)),
    directP99Ms: round(percentile(direct, 0.99)),
    failed,
    senderCpu: round(senderCpu),
    cpuMicros,
  }
}
