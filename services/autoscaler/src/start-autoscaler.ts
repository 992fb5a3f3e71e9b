import type { Config } from '@forebay/config'
import { type Clock, type Logger, type Registry, type Running, stopAll } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import type { ReplyBus } from '@forebay/reply-bus'
import { makeScalingPolicy, type Pace, type ScalingDecision } from '@forebay/scaling'
import type { Database } from '@forebay/store'
import { DecisionBook } from './decision-book.ts'
import { Leader } from './leader.ts'
import { makeLiveReader } from './live-reader.ts'
import { makeAutoscalerMetrics } from './metrics.ts'
import { observe } from './observe.ts'
import { makeResultsWatch } from './results-watch.ts'
import { WorkerBook } from './worker-book.ts'

// Shorter samples of live traffic would be mostly noise.
const liveSampleMsMin = 10_000

/** Starts and stops the workers of one pool. */
export interface LocalScaler extends Running {
  readonly pool: string
  /** How many there should be. */
  scale(replicas: number): void
}

/** A running autoscaler. */
export interface Autoscaler extends Running {
  readonly decisions: DecisionBook
}

/**
 * Starts an autoscaler: every few seconds the one replica that holds the lock decides how many workers each pool should
 * have, and the others read what it decided. While the database or the bus is away, the last decision stays.
 */
export async function startAutoscaler(options: {
  config: Config
  clock: Clock
  logger: Logger
  registry: Registry
  db: Database
  pools: Pools
  bus: ReplyBus
  local?: { scaler: LocalScaler; min: number; max: number }
  /** Another pace than the default one's. */
  pace?: Partial<Pace>
  /** How soon a pool without live requests may go to zero. */
  liveQuietMs?: number
}): Promise<Autoscaler> {
  const { bus, clock, config, db, local, logger, pools } = options
  const metrics = makeAutoscalerMetrics(options.registry)
  const workers = new WorkerBook({ clock })
  const decisions = new DecisionBook({ db })
  const bounds = new Map(local ? [[local.scaler.pool, { min: local.min, max: local.max }]] : [])
  const stableMs = config.scaleStableMs
  const pace = { stableMs, downPeriodMs: Math.min(60_000, Math.max(1_000, stableMs)), ...options.pace }
  let policy = makeScalingPolicy({ pace })
  const late = new Set<string>()
  const results = makeResultsWatch({ clock })
  const live = makeLiveReader({ sampleMs: Math.max(liveSampleMsMin, config.scaleEveryMs) })

  function note(decision: ScalingDecision, before: number): void {
    const { desired, lateMs, outstandingTokens, pool, ready, reason, stuck } = decision
    const log = { pool, before, desired, ready, reason }
    metrics.desired.set({ pool }, desired)
    metrics.ready.set({ pool }, ready)
    metrics.outstandingTokens.set({ pool }, outstandingTokens)
    metrics.stuck.set({ pool }, stuck ? 1 : 0)
    metrics.lateSeconds.set({ pool }, lateMs / 1000)
    // Said once, when it begins.
    if (lateMs > 0 && !late.has(pool)) logger.warn(log, 'workers of a pool are late')
    if (lateMs > 0) late.add(pool)
    else late.delete(pool)
    if (desired !== before) {
      metrics.changes.inc({ pool, direction: desired > before ? 'up' : 'down' })
      logger.info(log, 'pool scaled')
    } else if (stuck) logger.warn(log, 'workers of a pool do not come')
    else logger.debug(log, 'pool stays')
  }

  const lead = async () => {
    const state = await observe({
      ...{ db, pools, workers, clock, bounds, results, live, ttftP99Ms: config.ttftP99Ms },
      busTrouble: () => bus.trouble(),
    })
    const round = policy.decide(state).map((decision) => {
      const before = decisions.get(decision.pool)?.desired ?? decision.ready
      return { ...decision, before }
    })
    for (const decision of round) {
      note(decision, decision.before)
      if (decision.pool === local?.scaler.pool) local.scaler.scale(decision.desired)
    }
    await decisions.write(round)
  }

  const begin = async () => {
    policy = makeScalingPolicy({
      pace,
      ...(options.liveQuietMs === undefined ? {} : { liveQuietMs: options.liveQuietMs }),
    })
    policy.resume(await decisions.read())
    logger.info({}, 'this autoscaler decides')
  }
  const stopHearing = await bus.onAnnounce((announcement) => workers.hear(announcement))
  const leader = new Leader({
    ...{ db, clock, logger, begin, lead, everyMs: config.scaleEveryMs },
    follow: async () => void (await decisions.read()),
    onFailure: () => metrics.failures.inc(),
  })
  leader.start()
  let stopped: Promise<void> | undefined
  const parts = [leader, { stop: stopHearing }, ...(local ? [local.scaler] : [])]
  return { decisions, stop: () => (stopped ??= stopAll(parts)) }
}
