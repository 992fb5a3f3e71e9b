import { parseArgs } from 'node:util'
import type { Running } from '@forebay/kernel'
import { keepAwake } from './awake.ts'
import { environment, startEmbedded, startEngine, startOnRedis, type Target } from './forebay.ts'
import { type Helper, type LoadResult, type LoadTask, percentile, round, startLoad } from './load.ts'
import { addCpu, cpuPerRequest, processCpu } from './process-cpu.ts'
import { type Relay, startRelay } from './relay.ts'

export interface OverheadPoint {
  ratePerSecond: number
  addedP50Ms: number
  addedP99Ms: number
  directP50Ms: number
  directP99Ms: number
  /** What a bare relay over the same Redis adds, which has the same hops and nothing in them; of the Redis form alone. */
  relayAddedP50Ms?: number
  relayAddedP99Ms?: number
  failed: number
  /** Share of one core that the sender used. */
  senderCpu: number
  /** Microseconds of CPU per request by process. */
  cpuMicros: Record<string, number>
  /** The same of the relay's turns: its processes, and what Redis, engine and sender took for it. */
  relayCpuMicros?: Record<string, number>
}

export interface FormOverhead {
  points: OverheadPoint[]
  /** Highest rate tried with an added p99 of at most 25 ms and no failure. */
  maxRatePerSecond: number
}

export interface OverheadResult extends Partial<FormOverhead> {
  embedded?: FormOverhead
  /** No core slept meanwhile. */
  coresKeptAwake: boolean
}

const addedP99MsMax = 25
const engineMs = 40
// Until code is compiled, a request costs several times as much.
const warmUpRequests = 20_000

/**
 * Measures what gateway, queue and worker add to a live request whose answer takes the engine 40 ms: the same Poisson
 * arrivals are sent to the engine, to a bare relay (on Redis) and to Forebay, in short turns, so that a bad moment of
 * the machine hits all alike, while no core sleeps. Times count from when a request was due, so that a queue before the
 * sender counts too. On Redis with each process its own; then the same in one process on embedded Postgres, without the
 * relay.
 */
export async function run(args: readonly string[]): Promise<OverheadResult> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rates: { type: 'string', default: '50,200,500' },
      seconds: { type: 'string', default: '3' },
      turns: { type: 'string', default: '4' },
      profile: { type: 'string' },
      form: { type: 'string', default: 'both' },
      'let-sleep': { type: 'boolean', default: false },
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
    const loops = values['let-sleep'] ? undefined : keep(await keepAwake())
    const engine = keep(await startEngine(['--fixed-ms', `${engineMs}`], env))
    const options = { load, engine, rates, rateMax: Number(values['rate-max']), seconds, turns }
    const where = { engineUrl: engine.url, env }
    const onRedis = values.form === 'embedded' ? {} : await besideRelay(where, options)
    const embedded = values.form === 'redis' ? {} : { embedded: await measured(await startEmbedded(where), options) }
    return { ...onRedis, ...embedded, coresKeptAwake: loops?.areAwake() ?? false }
  } finally {
    await load.stop()
    for (const part of started) await part.stop()
  }
}

interface MeasureOptions {
  load: Helper<LoadTask, LoadResult>
  engine: { url: string; model: string }
  relay?: Relay
  rates: readonly number[]
  rateMax: number
  seconds: number
  turns: number
}

async function besideRelay(where: Parameters<typeof startOnRedis>[0], options: MeasureOptions): Promise<FormOverhead> {
  const target = await startOnRedis(where)
  let relay: Relay | undefined
  // The relay goes before the Redis that both use.
  const stop = async () => {
    await relay?.stop()
    await target.stop()
  }
  try {
    relay = await startRelay({ redisUrl: target.redisUrl, engineUrl: where.engineUrl })
  } catch (err) {
    await stop()
    throw err
  }
  return measured({ ...target, stop }, { ...options, relay })
}

async function measured(target: Target, options: MeasureOptions): Promise<FormOverhead> {
  const { rates } = options
  try {
    const { load, engine, relay } = options
    const workload = { model: engine.model, requests: warmUpRequests, promptWords: 20, maxTokens: 16, seed: 1 }
    for (const { url, apiKey } of [engine, ...(relay ? [relay] : []), target].map(withKey)) {
      await load.run({ kind: 'closed', concurrency: 32, url, apiKey, workload })
    }
    const points: OverheadPoint[] = []
    for (const rate of rates) points.push(await measure(target, { ...options, rate }))
    // Beyond the rates asked for, a quarter more each time, while the bound holds.
    let last = points.at(-1)
    while (last && isGood(last)) {
      const rate = Math.round(last.ratePerSecond * 1.25)
      if (rate > options.rateMax) break
      last = await measure(target, { ...options, rate })
      points.push(last)
    }
    return { points, maxRatePerSecond: Math.max(0, ...points.filter(isGood).map((point) => point.ratePerSecond)) }
  } finally {
    await target.stop()
  }
}

function withKey(to: { url: string; apiKey?: string }): { url: string; apiKey: string } {
  return { url: to.url, apiKey: to.apiKey ?? '' }
}

function isGood(point: OverheadPoint): boolean {
  return point.addedP99Ms <= addedP99MsMax && point.failed === 0
}

/** What was seen of one of those that take turns. */
interface Seen {
  tookMs: number[]
  failed: number
  senderCpu: number
  /** CPU seconds by process. */
  cpu: Map<string, number>
}

async function measure(target: Target, options: MeasureOptions & { rate: number }): Promise<OverheadPoint> {
  const { load, engine, rate, relay, seconds, turns } = options
  const requests = Math.ceil(rate * seconds)
  const nothing = (): Seen => ({ tookMs: [], failed: 0, senderCpu: 0, cpu: new Map() })
  const [direct, relayed, through] = [nothing(), nothing(), nothing()]
  for (let turn = 0; turn < turns; turn++) {
    const workload = { model: engine.model, requests, promptWords: 20, maxTokens: 16, seed: rate + turn }
    const send = async (to: { url: string; apiKey?: string }, seen: Seen) => {
      const before = processCpu()
      const result = await load.run({ kind: 'open', ratePerSecond: rate, workload, ...withKey(to) })
      addCpu(seen.cpu, before, processCpu())
      seen.tookMs.push(...result.ended.map((request) => request.tookMs))
      seen.failed += result.failed
      seen.senderCpu = Math.max(seen.senderCpu, result.senderCpu)
    }
    await send({ url: engine.url }, direct)
    if (relay) await send(relay, relayed)
    await send(target, through)
  }
  const added = ({ tookMs }: Seen, share: number) => round(percentile(tookMs, share) - percentile(direct.tookMs, share))
  const micros = ({ cpu }: Seen) => cpuPerRequest(new Map(), cpu, requests * turns)
  return {
    ratePerSecond: rate,
    addedP50Ms: added(through, 0.5),
    addedP99Ms: added(through, 0.99),
    directP50Ms: round(percentile(direct.tookMs, 0.5)),
    directP99Ms: round(percentile(direct.tookMs, 0.99)),
    ...(relay ? { relayAddedP50Ms: added(relayed, 0.5), relayAddedP99Ms: added(relayed, 0.99) } : {}),
    failed: direct.failed + relayed.failed + through.failed,
    senderCpu: round(Math.max(direct.senderCpu, relayed.senderCpu, through.senderCpu)),
    cpuMicros: micros(through),
    ...(relay ? { relayCpuMicros: micros(relayed) } : {}),
  }
}
