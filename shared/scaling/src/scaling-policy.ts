import { type Arrivals, makeArrivals } from './arrivals.ts'
import { type Demand, gatherDemand } from './demand.ts'
import { explain } from './explain.ts'
import { makeLiveForecast } from './live-forecast.ts'
import { type PlaceablePool, placeReplicas } from './place-replicas.ts'
import type { LiveLoad, ScalablePool, ScalingDecision, ScalingState } from './scaling-state.ts'
import { defaultPace, makeSteps, type Pace, type Steps } from './steps.ts'

/** Decides how many replicas each pool should have. Pure but for what it remembers; time is part of the state. */
export interface ScalingPolicy {
  /** One decision per pool, in the order given. Call it every 10 to 30 seconds. */
  decide(state: ScalingState): ScalingDecision[]
  /** Begins with what a predecessor decided, so that a new start shrinks nothing at once. Before the first `decide`. */
  resume(decisions: readonly { pool: string; desired: number }[]): void
}

/** What can be set about a policy. */
export interface ScalingOptions {
  readonly pace?: Partial<Pace>
  /** Live traffic is prepared for with so much more than was seen; 1.3 when not given. */
  readonly liveHeadroom?: number
  /** From how far back live traffic is prepared for; 1 min when not given: what lay further back holds through the pace. */
  readonly liveMemoryMs?: number
  /** A pool without live requests for so long may go to zero; 15 min when not given. */
  readonly liveQuietMs?: number
}

interface PoolMemory {
  steps: Steps
  arrivals: Arrivals
}

/** Makes a policy that remembers nothing yet. */
export function makeScalingPolicy(options: ScalingOptions = {}): ScalingPolicy {
  const pace = { ...defaultPace, ...options.pace }
  const memoryMs = options.liveMemoryMs ?? 60_000
  const quietMs = options.liveQuietMs ?? 15 * 60_000
  const headroom = options.liveHeadroom ?? 1.3
  const memories = new Map<string, PoolMemory>()
  const resumed = new Map<string, number>()
  const forecasts = new Map<string, ReturnType<typeof makeLiveForecast>>()
  const memoryOf = (name: string, guessMs: number): PoolMemory => {
    const memory = memories.get(name) ?? { steps: makeSteps(pace), arrivals: makeArrivals(guessMs) }
    memories.set(name, memory)
    return memory
  }

  function expect(key: string, load: LiveLoad, nowMs: number, aheadMs: number) {
    const forecast = forecasts.get(key) ?? makeLiveForecast({ memoryMs, quietMs, headroom })
    forecasts.set(key, forecast)
    forecast.observe(load.sampledAtMs ?? nowMs, load.tokensPerSecond)
    return forecast.at(nowMs, aheadMs)
  }

  function observed(pool: ScalablePool, nowMs: number): PlaceablePool & { memory: PoolMemory } {
    const memory = memoryOf(pool.name, pool.coldStartMs)
    const { arrivals, steps } = memory
    if (steps.held === undefined) steps.hold(nowMs, resumed.get(pool.name) ?? pool.ready)
    arrivals.observe(nowMs, steps.held ?? pool.ready, pool.ready)
    const { coldStartMs, since } = arrivals
    // One that is late is expected any moment, but not before a quarter of a cold start is over.
    const warmingMs = since.map((askedMs) => Math.max(coldStartMs / 4, askedMs + coldStartMs - nowMs))
    return { ...pool, coldStartMs, warmingMs: warmingMs.sort((a, b) => a - b), stuck: arrivals.stuck(nowMs), memory }
  }

  return {
    resume(decisions) {
      for (const { desired, pool } of decisions) resumed.set(pool, desired)
    },
    decide(state) {
      const { nowMs } = state
      const pools = state.pools.map((pool) => observed(pool, nowMs))
      const coldMs = new Map(pools.map(({ coldStartMs, name }) => [name, coldStartMs]))
      const demands = gatherDemand(state, (key, load) =>
        expect(key, load, nowMs, Math.min(...load.pools.map((name) => coldMs.get(name) ?? 0))),
      )
      const up = placeReplicas({ demands, pools, nowMs })
      const wantedOf = (name: string) => up.get(name)?.replicas ?? 0
      return pools.map((pool) => {
        const { memory, name, ready } = pool
        const before = memory.steps.held ?? ready
        const wanted = wantedOf(name)
        const desired =
          pool.closed !== undefined || (pool.stuck && wanted >= Math.min(before, ready))
            ? before
            : memory.steps.next({
                nowMs,
                up: wanted,
                down: standIn(pool, pools, demands, wantedOf),
                least: pool.minReplicas,
                most: pool.maxReplicas,
                stableMs: pool.coldStartMs,
              })
        memory.arrivals.observe(nowMs, desired, ready)
        const warming = memory.arrivals.since.length
        return {
          ...{ pool: name, atMs: nowMs, current: ready + warming, ready, desired, wanted },
          reason: explain({
            ...pool,
            ...{
              before,
              desired,
              wanted,
              nowMs,
              warming,
              need: up.get(name)?.need,
              short: up.get(name)?.short ?? false,
            },
            oldestWarmingMs: nowMs - (memory.arrivals.since[0] ?? nowMs),
            late: memory.arrivals.lateMs(nowMs) > 0,
          }),
          stuck: pool.stuck,
          lateMs: memory.arrivals.lateMs(nowMs),
          outstandingTokens: total(demands, name, ({ tokens }) => tokens),
          liveTokensPerSecond: total(demands, name, ({ live }) => live.tokensPerSecond),
        }
      })
    },
  }
}

/** Ready replicas that a pool keeps while those that are to take over in other pools do not work yet. */
function standIn(
  pool: PlaceablePool,
  pools: readonly PlaceablePool[],
  demands: readonly Demand[],
  wantedOf: (name: string) => number,
): number {
  const siblings = new Set(
    demands.filter((demand) => demand.pools.includes(pool.name)).flatMap((demand) => demand.pools),
  )
  let missing = 0
  for (const other of pools) {
    if (other.name === pool.name || !siblings.has(other.name)) continue
    missing += Math.max(0, wantedOf(other.name) - other.ready) * other.tokensPerSecond
  }
  return Math.min(pool.ready, wantedOf(pool.name) + Math.ceil(missing / pool.tokensPerSecond))
}

function total(demands: readonly Demand[], pool: string, of: (demand: Demand) => number): number {
  return demands.reduce((sum, demand) => sum + (demand.pools.includes(pool) ? of(demand) : 0), 0)
}
