import type { Demand } from './demand.ts'
import type { ScalablePool } from './scaling-state.ts'

/** A pool with what is known of its replicas that do not work yet. */
export interface PlaceablePool extends ScalablePool {
  /** In how long each of them is expected, the soonest first. */
  readonly warmingMs: readonly number[]
  /** Replicas asked for long ago do not come: no more are asked for. */
  readonly stuck: boolean
}

/** What binds: why a replica more was needed. */
export type Need =
  | { kind: 'live'; rate: number; pressed: boolean }
  | { kind: 'due'; deadlineMs: number; tokens: number }
  | { kind: 'least' }

export interface Placed {
  replicas: number
  /** The last need that added a replica; undefined when nothing asked for any. */
  need: Need | undefined
  /** True when all that may be asked for is not enough. */
  short: boolean
}

// Batches are estimated: so much more than they say is counted on.
const batchCare = 1.05
// A batch is to be done so long before its deadline, and its files have to be written.
const finishMs = 120_000
const finishShare = 0.05
// Live requests that wait are to be taken within so long.
const waitingWithinS = 60
// Live requests suffer only where the engines are about full; below, the time to the first token has other reasons.
const busyShare = 0.5
const pressureMax = 1.25

interface Supply {
  pool: PlaceablePool
  /** Replicas decided on. */
  replicas: number
  /** Tokens a second of them that earlier demands use. */
  used: number
  need: Need | undefined
  short: boolean
}

/**
 * How many replicas each pool should have for the demands: the least number that serves live traffic now and meets
 * every deadline, a replica that is not there yet counted from when it will be. Among pools that may take the work, spot
 * goes before on-demand and the cheaper token before the dearer, where the deadline leaves time for the cold start.
 */
export function placeReplicas(options: {
  demands: readonly Demand[]
  pools: readonly PlaceablePool[]
  nowMs: number
}): Map<string, Placed> {
  const { demands, nowMs, pools } = options
  const supplies = new Map(
    pools.map((pool): [string, Supply] => {
      const replicas = Math.min(pool.minReplicas, room(pool))
      return [pool.name, { pool, replicas, used: 0, need: replicas > 0 ? { kind: 'least' } : undefined, short: false }]
    }),
  )
  for (const demand of demands) {
    const own = demand.pools.flatMap((name) => supplies.get(name) ?? []).sort(preferred)
    const needed = neededOf(demand, own, nowMs)
    for (;;) {
      const unmet = firstUnmet(needed, own)
      if (!unmet) break
      const open = own.filter(({ pool, replicas }) => replicas < room(pool))
      const withinMs = unmet.kind === 'due' ? unmet.withinMs : Number.POSITIVE_INFINITY
      const next = open.find((supply) => availableMs(supply) < withinMs) ?? soonest(open)
      if (!next) {
        for (const supply of own) supply.short = true
        break
      }
      next.replicas++
      next.need = needOf(unmet)
    }
    takeUp(needed, own)
  }
  return new Map([...supplies].map(([name, { need, replicas, short }]) => [name, { replicas, need, short }]))
}

/** The most replicas that may be decided on: a closed or stuck pool gets none that it has not. */
function room(pool: PlaceablePool): number {
  if (pool.closed !== undefined) return Math.min(pool.maxReplicas, pool.ready + pool.warmingMs.length)
  return pool.stuck ? Math.min(pool.maxReplicas, pool.ready) : pool.maxReplicas
}

function preferred(a: Supply, b: Supply): number {
  if (a.pool.spot !== b.pool.spot) return a.pool.spot ? -1 : 1
  const price = ({ pool }: Supply) => pool.costPerHour / pool.tokensPerSecond
  return price(a) - price(b) || (a.pool.name < b.pool.name ? -1 : 1)
}

/** In how long the next replica works. */
function availableMs({ pool, replicas }: Supply): number {
  return availableIn(pool, replicas)
}

function availableIn(pool: PlaceablePool, index: number): number {
  return index < pool.ready ? 0 : (pool.warmingMs[index - pool.ready] ?? pool.coldStartMs)
}

function soonest(supplies: readonly Supply[]): Supply | undefined {
  return supplies.reduce<Supply | undefined>(
    (best, each) => (best && availableMs(best) <= availableMs(each) ? best : each),
    undefined,
  )
}

interface Needed {
  live: { rate: number; pressed: boolean }
  /** Tokens a second that live traffic takes from batch work. */
  liveMean: number
  due: { deadlineMs: number; tokens: number; asked: number; withinMs: number }[]
}

type Unmet = ({ kind: 'live' } & Needed['live']) | ({ kind: 'due' } & Needed['due'][number])

function neededOf(demand: Demand, own: readonly Supply[], nowMs: number): Needed {
  const { live } = demand
  const readyRate = own.reduce((sum, { pool }) => sum + pool.ready * pool.tokensPerSecond, 0)
  const provisioned = own.reduce((sum, { pool }) => sum + (pool.ready + pool.warmingMs.length), 0)
  const ready = own.reduce((sum, { pool }) => sum + pool.ready, 0)
  // What is on its way is credited: the same lateness asks for replicas once.
  const lateness = (live.ttftRatio ?? 0) * (provisioned > 0 ? ready / provisioned : 1)
  const busy = live.waitingTokens > 0 || live.tokensPerSecond >= busyShare * readyRate
  const pressure = lateness > 1 && busy ? readyRate * Math.min(pressureMax, lateness) : 0
  const quickestMs = Math.min(...own.map(({ pool }) => (pool.ready > 0 ? 0 : pool.coldStartMs)))
  const coldMs = Math.min(...own.map(({ pool }) => pool.coldStartMs))
  const due = demand.due.map(({ deadlineMs, tokens }) => {
    const leftMs = deadlineMs - nowMs
    const withinMs = leftMs - Math.min(finishMs, leftMs / 4) - finishShare * leftMs
    // What can be met by no replica to come is still done soon after one came.
    const possibleMs = Math.max(withinMs, Math.max(quickestMs, coldMs) + finishMs)
    return { deadlineMs, tokens: tokens * batchCare, asked: tokens, withinMs: possibleMs }
  })
  const waiting = live.waitingTokens / waitingWithinS
  return {
    live: { rate: Math.max(live.need + waiting, pressure), pressed: pressure > live.need + waiting },
    liveMean: live.mean,
    due,
  }
}

function firstUnmet({ due, live, liveMean }: Needed, own: readonly Supply[]): Unmet | undefined {
  let rate = 0
  for (const { pool, replicas, used } of own) rate += replicas * pool.tokensPerSecond - used
  if (rate < live.rate) return { kind: 'live', ...live }
  for (const each of due)
    if (done(own, each.withinMs) - (liveMean * each.withinMs) / 1000 < each.tokens) return { kind: 'due', ...each }
  return undefined
}

/** Tokens that the replicas decided on get through within a time, each from when it works. */
function done(own: readonly Supply[], withinMs: number): number {
  let tokens = 0
  for (const { pool, replicas, used } of own) {
    const ready = Math.min(replicas, pool.ready)
    let replicaMs = ready * withinMs
    for (let i = ready; i < replicas; i++) replicaMs += Math.max(0, withinMs - availableIn(pool, i))
    tokens += Math.max(0, (replicaMs * pool.tokensPerSecond - used * withinMs) / 1000)
  }
  return tokens
}

/** Marks what a demand uses, so that the next one sees only what is left. */
function takeUp({ due, live, liveMean }: Needed, own: readonly Supply[]): void {
  const batch = Math.max(0, ...due.map(({ tokens, withinMs }) => (tokens * 1000) / withinMs))
  let rest = Math.max(live.rate, liveMean + batch)
  for (const supply of own) {
    const free = Math.max(0, supply.replicas * supply.pool.tokensPerSecond - supply.used)
    const taken = Math.min(free, rest)
    supply.used += taken
    rest -= taken
  }
}

function needOf(unmet: Unmet): Need {
  if (unmet.kind === 'live') return { kind: 'live', rate: unmet.rate, pressed: unmet.pressed }
  return { kind: 'due', deadlineMs: unmet.deadlineMs, tokens: unmet.asked }
}
