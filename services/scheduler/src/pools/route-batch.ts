import { narrow } from '@forebay/router'

/** A pool as the release of chunks sees it. */
export interface PoolView {
  name: string
  residency: readonly string[]
  /** What its workers serve, or are configured to serve. */
  models: ReadonlySet<string>
  /** Which version of a model they run, by model; null for one that is not named. */
  versions?: Readonly<Record<string, string>> | undefined
  /** A healthy worker of it was heard of lately. */
  live: boolean
  /** No worker of it runs, as far as one can tell: what nobody there holds may go elsewhere. */
  dead: boolean
  /** Why nothing new goes there, to follow its name; undefined when something may. */
  shut: string | undefined
  /** It has been out of reach for long enough that all that went there is to go elsewhere. */
  lost: boolean
  /** Pools of a tier are used only when those of every lower one cannot be. */
  tier: number
  /** A managed API: used only when the windows of all others are full, or none can be used. */
  managed: boolean
  /** Nano-units that may still be charged for it today; undefined: no cap. */
  spendLeft: number | undefined
  /** What an hour of a replica costs; undefined: not said. */
  costPerHour: number | undefined
  /** 0 (far away) to 1 (here). */
  proximity: number
}

/** Where a batch's chunks may go, best told by the pools' windows; `waitingFor` says why not, or not yet, in words. */
export interface Route {
  pools: readonly PoolView[]
  /** Managed pools that it may use once the windows of all of `pools` are full. */
  overflow: readonly PoolView[]
  /** Why these pools and no others, in words; empty when all that may run it are on the route. */
  because: string
  waitingFor: string | null
}

/**
 * The pools that may run a batch now: they serve its model, carry its residency tag and are open. Those with a worker, if
 * there are any; else all of them, whose queues hold the chunks until a worker comes. Of those the lowest tier, managed
 * pools last. A batch never leaves its residency.
 */
export function routeBatch(
  batch: {
    model: string | null
    residency: string | null
    /** Only where this version runs: null, where none is named; undefined, anywhere. */
    version?: string | null | undefined
  },
  pools: readonly PoolView[],
): Route {
  const { residency, version } = batch
  const model = batch.model ?? ''
  const serving = pools.filter(
    (pool) => pool.models.has(model) && (version === undefined || (pool.versions?.[model] ?? null) === version),
  )
  const allowed = residency === null ? serving : serving.filter((pool) => pool.residency.includes(residency))
  const runs = version === undefined || version === null ? '' : ` with its version '${version}'`
  const what = `${residency === null ? '' : ` with the residency tag '${residency}'`}${runs}`
  if (allowed.length === 0) {
    return nowhere(`A pool${what} that serves the model '${model}': there is none.`)
  }
  const spent = ({ spendLeft }: PoolView) => spendLeft !== undefined && spendLeft <= 0
  const open = allowed.filter((pool) => pool.shut === undefined && !spent(pool))
  if (open.length === 0) {
    const reasons = allowed.map((pool) => `${pool.name} ${pool.shut ?? 'has spent its cap for today'}`).join('; ')
    return nowhere(`A pool${what} that serves the model '${model}': ${reasons}.`)
  }
  const live = open.filter((pool) => pool.live)
  const { among, because, overflow } = narrow(
    (live.length > 0 ? live : open).map((pool) => ({ ...pool, load: 0 })),
    { residency, spill: 'down' },
  )
  if (live.length > 0) return { pools: among, overflow, because, waitingFor: null }
  const names = open.map((pool) => pool.name).join(', ')
  return {
    pools: among,
    overflow: [],
    because,
    waitingFor: `A worker of the pool${open.length > 1 ? 's' : ''} ${names}: none is heard of.`,
  }
}

function nowhere(waitingFor: string): Route {
  return { pools: [], overflow: [], because: '', waitingFor }
}

/** True when a chunk should be released elsewhere: it went to a pool that is gone, and there is another for it. `seen`: a worker there was seen to hold it. */
export function shouldMove(options: { pool: PoolView | undefined; route: Route; seen: boolean }): boolean {
  const { pool, route, seen } = options
  const elsewhere = route.pools.some((other) => other.name !== pool?.name && other.live)
  if (!elsewhere) return false
  if (pool === undefined || pool.lost) return true
  return pool.dead && !seen
}
