import { queueName } from '@forebay/contracts'
import { type Clock, describeError } from '@forebay/kernel'
import type { PoolSpec, Pools } from '@forebay/pools'
import type { LiveLoad, OutstandingWork, ScalablePool, ScalingState } from '@forebay/scaling'
import type { Database } from '@forebay/store'
import type { LiveReader } from './live-reader.ts'
import { type LiveWork, readBatchWork, readCounted, readPools } from './read-work.ts'
import type { ResultsWatch } from './results-watch.ts'
import type { WorkerBook } from './worker-book.ts'

const coldStartMs = 180_000
const tokensPerSecond = 2_000
const replicasMax = 10
// Of a live request of which nothing is known but that it waits.
const liveTokens = 1_000

/** What the observation of all pools needs. */
export interface ObserveOptions {
  db: Database
  pools: Pools
  workers: WorkerBook
  live: LiveReader
  results: ResultsWatch
  clock: Clock
  /** Undefined when the bus can be heard, else what is wrong. */
  busTrouble: () => string | undefined
  /** What live requests' time to the first token is to keep within; undefined: not looked at. */
  ttftP99Ms: number | undefined
  /** The bounds of pools whose workers this process starts itself. */
  bounds?: ReadonlyMap<string, { min: number; max: number }>
}

/** Reads all that a decision stands on: batches and live requests from the database, waiting requests from the brokers, workers from what they announce. Throws while the database cannot be reached. */
export async function observe(options: ObserveOptions): Promise<ScalingState> {
  const { clock, db, pools, ttftP99Ms } = options
  const [batches, known, counted] = [await readBatchWork(db), await readPools(db), await readCounted(db)]
  const { live, sampledAtMs } = await options.live.read(db)
  const specs = pools.list()
  const serves = (spec: PoolSpec, model: string | null) =>
    !known.drained.has(spec.name) &&
    (model === null ||
      (spec.models?.includes(model) ?? known.models.some((each) => each.pool === spec.name && each.model === model)))
  const work = batches.map(({ deadlineMs, lane, model, residency, tokens }): OutstandingWork => {
    const may = specs.filter((spec) => residency === null || spec.residency.includes(residency))
    const found = may.filter((spec) => serves(spec, model))
    // No worker was ever heard of: any pool that does not say what it serves may turn out to.
    const unsaid = may.filter((spec) => spec.models === undefined && !known.drained.has(spec.name))
    return { pools: (found.length > 0 ? found : unsaid).map(({ name }) => name), lane, tokens, deadlineMs }
  })
  const waiting = await Promise.all(specs.map((spec) => waitingIn(pools, spec.name)))
  const closed = new Map(specs.map(({ name }, i) => [name, closedBy(options, name, waiting[i], counted)]))
  const loads = specs.map((spec, i): LiveLoad => {
    const own = live.filter(({ pool }) => pool === spec.name)
    const models = [...new Set(own.map(({ model }) => model))]
    const shared = specs.filter(
      (other) =>
        other === spec || (models.length > 0 && sameTags(other, spec) && models.every((model) => serves(other, model))),
    )
    return loadOf(own, {
      pools: shared.map(({ name }) => name),
      waiting: waiting[i]?.requests ?? 0,
      ttftP99Ms,
      sampledAtMs,
    })
  })
  return {
    nowMs: clock.now(),
    pools: specs.map((spec) => scalable(options, spec, closed.get(spec.name))),
    work,
    live: merge(loads),
  }
}

function scalable({ bounds, workers }: ObserveOptions, spec: PoolSpec, closed: string | undefined): ScalablePool {
  const own = bounds?.get(spec.name)
  return {
    name: spec.name,
    minReplicas: own?.min ?? spec.minReplicas,
    maxReplicas: own?.max ?? spec.maxReplicas ?? Math.max(replicasMax, spec.minReplicas),
    costPerHour: (spec.costPerGpuHour ?? 0) * (spec.gpus ?? 1),
    spot: spec.spot,
    coldStartMs: (spec.coldStartSeconds ?? coldStartMs / 1000) * 1000,
    tokensPerSecond: workers.rate(spec.name) ?? spec.tokensPerSecond ?? tokensPerSecond,
    ready: workers.ready(spec.name),
    closed,
  }
}

type Waiting = { requests: number; results: number } | { reason: string; requests: 0 }

async function waitingIn(pools: Pools, pool: string): Promise<Waiting> {
  try {
    const queues = await pools.queues(pool)
    const [realtime, standard, results] = await Promise.all(
      (['realtime', 'standard', 'results'] as const).map((name) => queues.queue(queueName(pool, name)).depth()),
    )
    return { requests: (realtime?.visible ?? 0) + (standard?.visible ?? 0), results: results?.visible ?? 0 }
  } catch (err) {
    return { reason: describeError(err), requests: 0 }
  }
}

function closedBy(
  { busTrouble, results, workers }: ObserveOptions,
  pool: string,
  waiting: Waiting | undefined,
  counted: ReadonlySet<string>,
): string | undefined {
  if (waiting && 'reason' in waiting) return `cannot be reached (${waiting.reason})`
  const uncounted = waiting && results.trouble(pool, { waiting: waiting.results, committed: counted.has(pool) })
  if (uncounted !== undefined) return uncounted
  const bus = busTrouble() ?? (workers.silent ? 'no worker is heard on it' : undefined)
  return bus === undefined ? undefined : `cannot be seen, since the reply bus is in trouble (${bus})`
}

function loadOf(
  own: readonly LiveWork[],
  options: { pools: string[]; waiting: number; ttftP99Ms: number | undefined; sampledAtMs: number },
): LiveLoad {
  const tokens = own.reduce((sum, each) => sum + each.tokens, 0)
  const requests = own.reduce((sum, each) => sum + each.requests, 0)
  const slowest = Math.max(0, ...own.map(({ ttftMs }) => ttftMs ?? 0))
  return {
    pools: options.pools,
    tokensPerSecond: own.reduce((sum, each) => sum + each.tokensPerSecond, 0),
    sampledAtMs: options.sampledAtMs,
    waitingTokens: options.waiting * (requests > 0 ? tokens / requests : liveTokens),
    ttftRatio: options.ttftP99Ms === undefined || slowest === 0 ? undefined : slowest / options.ttftP99Ms,
  }
}

/** Pools that share their live traffic have it counted together. */
function merge(loads: readonly LiveLoad[]): LiveLoad[] {
  const merged = new Map<string, LiveLoad>()
  for (const load of loads) {
    const key = [...load.pools].sort().join(' ')
    const other = merged.get(key)
    merged.set(key, {
      pools: load.pools,
      sampledAtMs: load.sampledAtMs,
      tokensPerSecond: load.tokensPerSecond + (other?.tokensPerSecond ?? 0),
      waitingTokens: load.waitingTokens + (other?.waitingTokens ?? 0),
      ttftRatio: higher(load.ttftRatio, other?.ttftRatio),
    })
  }
  return [...merged.values()]
}

function higher(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.max(a, b)
}

function sameTags(a: PoolSpec, b: PoolSpec): boolean {
  return [...a.residency].sort().join(' ') === [...b.residency].sort().join(' ')
}
