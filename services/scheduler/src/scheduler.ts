import type { BlobStore } from '@forebay/blobs'
import { sweepHolds } from '@forebay/budgets'
import type { Config } from '@forebay/config'
import { type Clock, type Logger, newId, type Registry, type Running, stopAll } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import type { ReplyBus } from '@forebay/reply-bus'
import type { Database, Row } from '@forebay/store'
import { type ClaimedWork, type ClaimKind, workOnClaim } from './claim.ts'
import { BatchCloser } from './close-batches.ts'
import { runErasures, sweepErased } from './erase/erasures.ts'
import { sweepLiveContent } from './erase/live-content.ts'
import { sweepQueues } from './erase/waiting-jobs.ts'
import { finaliseClaimed } from './finalise/finalise-claimed.ts'
import { readJudgeRun } from './judge/read-run.ts'
import { startJudgeRun } from './judge/start-run.ts'
import { lookOut } from './lookout.ts'
import { makeSchedulerMetrics, type SchedulerMetrics } from './metrics.ts'
import { ModelBook } from './models.ts'
import { planClaimed } from './plan-claimed.ts'
import { PollLoop } from './poll-loop.ts'
import { PoolBook } from './pools/pool-book.ts'
import { TakeBack } from './pools/take-back.ts'
import { unstage } from './pools/unstage.ts'
import { DepthBook } from './release/depth-book.ts'
import { LaneWatch } from './release/lane-watch.ts'
import { PoolSends } from './release/pool-sends.ts'
import { ReleaseRounds } from './release/round.ts'
import { makeSendToPool } from './release/send-chunks.ts'
import { watchRollouts } from './rollouts/watch-rollouts.ts'
import { sweep } from './sweep.ts'
import { sweepBodies } from './sweep-bodies.ts'

/** What the scheduler runs on. */
export interface SchedulerOptions {
  config: Config
  clock: Clock
  logger: Logger
  registry: Registry
  db: Database
  /** Where files are uploaded to; plans and result files lie there too. */
  blobs: BlobStore
  /** Stay open. */
  pools: Pools
  bus: ReplyBus
}

const pollMs = 1000
// Of what the lookout finds.
const slowPollMs = 10_000
const gapMs = 25
// Every commit of results moves the release and the close. Of what is released there is enough for half a minute.
const busyGapMs = 150
const releaseGapMs = 400
const sweepMs = 60_000
const sweepBodiesMs = 3_600_000
const claimMs = 15_000
const retryMs = 3000
// A second planner takes small files only, so that they do not wait for a large one.
const smallFileBytes = 8 * 1024 * 1024

/**
 * Starts a scheduler: plans batches, releases their chunks, finds the lost, closes and finalises batches, sweeps what
 * expired, erases. Any number may run on one database. Outages are retried with back-off. `stop` returns when nothing of it
 * runs; batches it was planning or finalising are free for others at once.
 */
export async function startScheduler(options: SchedulerOptions): Promise<Running> {
  const { clock, logger, db, blobs, pools, bus, config } = options
  const metrics = makeSchedulerMetrics(options.registry)
  const models = new ModelBook({ clock })
  const depths = new DepthBook({ pools, clock, logger, staleMs: 3 * pollMs })
  const watch = new LaneWatch({ depths, chunkLeaseMs: config.chunkLeaseMs })
  const toPool = makeSendToPool({ db, fileStore: blobs, pools, clock })
  const sends = new PoolSends({ db, clock, logger, metrics, send: toPool, wake: () => release.nudge() })
  const book = new PoolBook({ pools, models, depths, clock, heldBack: (pool) => sends.heldBack(pool) })
  const staged = (pool: string) => !pools.sharesFileStore(pool)
  const { weights } = pools.routing
  const rounds = new ReleaseRounds({ db, logger, metrics, watch, models, pools: book, sends, staged, weights })
  const drained = () => book.drained
  const takeBack = new TakeBack({ db, pools, clock, logger, leaseMs: config.queueLeaseMs, drained })
  const closer = new BatchCloser({ db, blobs, pools, bus, logger, cancelGraceMs: config.cancelGraceMs })
  const claimed = { ...options, metrics, models }
  const judging = { db, blobs, pools, clock, logger, config, metrics }
  const plan: ClaimedWork = (batch, owner, signal) => planClaimed(claimed, batch, owner, signal)
  const finalise: ClaimedWork = (batch, owner, signal) => finaliseClaimed(claimed, batch, owner, signal)

  const sinceMs = clock.now()
  type Work = (signal: AbortSignal) => Promise<boolean>
  const loop = (name: string, work: Work, everyMs = pollMs, gaps: { gapMsMax?: number; gapMsWoken?: number } = {}) =>
    new PollLoop({ clock, logger, name, pollMs: everyMs, sinceMs, gapMs, ...gaps, work })
  const claims = (kind: ClaimKind, work: ClaimedWork) => (signal: AbortSignal) => {
    const owner = newId('claim_', clock.now())
    return workOnClaim({ db, clock, logger, kind, owner, claimMs, retryMs, signal, work })
  }
  const planning = (bytesMax: number) => {
    const next = claims({ to: 'plan', bytesMax }, plan)
    let known = false
    return async (signal: AbortSignal) => {
      // Until a worker was heard of, no model is known, and no batch can be told that its own is not.
      known ||= await hasModels(db, pools)
      const worked = known && (await next(signal))
      if (worked) release.wake()
      return worked
    }
  }
  const finalisers = [1, 2].map((n) => loop(`finalise-${n}`, claims({ to: 'finalise' }, finalise), slowPollMs))
  const releaseGaps = { gapMsMax: releaseGapMs, gapMsWoken: busyGapMs }
  const release: PollLoop = loop('release', () => rounds.run(), slowPollMs, releaseGaps)
  const planners = [Number.MAX_SAFE_INTEGER, smallFileBytes].map((bytesMax, i) =>
    loop(`plan-${i + 1}`, planning(bytesMax), slowPollMs),
  )
  const close = async () => {
    const closed = await closer.run()
    if (closed) wakeAll(finalisers)
    return closed
  }
  const closing = loop('close', close, slowPollMs, { gapMsMax: busyGapMs })
  const erasures = loop('erasures', (signal) => runErasures({ db, blobs, pools, clock, logger }, signal), slowPollMs)
  const looking = async () => {
    const sighted = await lookOut(db)
    if (sighted.plan) wakeAll(planners)
    if (sighted.open) wakeAll([release, closing])
    if (sighted.finalise) wakeAll(finalisers)
    if (sighted.erase) erasures.wake()
    return false
  }
  const judges = [
    loop('judge', () => startJudgeRun(judging), 5 * pollMs),
    loop('judged', () => readJudgeRun(judging), 5 * pollMs),
  ]
  const loops = [
    ...planners,
    release,
    closing,
    ...finalisers,
    loop('depths', () => depths.refresh().then(() => false)),
    loop('models', () => models.write(db).then(() => false)),
    loop('metrics', () => observe(db, metrics).then(() => false), 5 * pollMs),
    loop('sweep', () => sweep({ db, blobs, pools, logger, clock, config }), sweepMs),
    loop('bodies', () => sweepBodies({ blobs, pools, logger, nowMs: clock.now() }).then(() => false), sweepBodiesMs),
    loop('queues', () => sweepQueues({ pools, clock, logger }).then(() => false), sweepBodiesMs),
    erasures,
    loop('lookout', looking),
    loop('live-content', () => sweepLiveContent({ db, blobs, pools, config }), sweepMs),
    loop('erased', () => sweepErased({ db, blobs, pools, clock, logger }), sweepMs),
    loop('stores', () => pools.probeStores().then(() => false), 5 * pollMs),
    loop('holds', async () => (await sweepHolds(db)) === 1_000, 5 * pollMs),
    loop(
      'rollouts',
      () => watchRollouts({ db, pools, clock, logger, metrics, scoreMin: config.judgeScoreMin }),
      5 * pollMs,
    ),
    loop('take-back', () => takeBack.run()),
    ...judges,
    loop('unstage', () => unstage({ db, pools, logger }), 5 * pollMs),
  ]
  const stopHearing = await bus.onAnnounce((announcement) => models.hear(announcement))
  const listeners = [
    await db.listen('forebay_batches', () => wakeAll([...planners, release, closing, ...judges])),
    await db.listen('forebay_progress', () => nudgeAll([release, closing])),
  ]
  for (const one of loops) one.start()
  let stopped: Promise<void> | undefined
  return {
    stop: () =>
      (stopped ??= stopAll([...listeners, { stop: stopHearing }, { stop: () => stopAtOnce(loops) }, takeBack, sends])),
  }
}

function wakeAll(loops: readonly PollLoop[]): void {
  for (const one of loops) one.wake()
}

function nudgeAll(loops: readonly PollLoop[]): void {
  for (const one of loops) one.nudge()
}

async function stopAtOnce(loops: readonly Running[]): Promise<void> {
  await Promise.all(loops.map((one) => one.stop()))
}

async function hasModels(db: Database, pools: Pools): Promise<boolean> {
  // A pool that does not say what it serves may serve anything.
  if (pools.list().every((pool) => pool.models)) return true
  return (await db.query('SELECT 1 FROM models LIMIT 1')).length > 0
}

async function observe(db: Database, metrics: SchedulerMetrics): Promise<void> {
  const counts = await db.query<Row & { status: string; count: number; oldest: number | null }>(
    `SELECT b.status, count(*), max(extract(epoch FROM now() - b.in_progress_at)) FILTER (WHERE EXISTS (
       SELECT 1 FROM chunks c WHERE c.batch_id = b.id AND c.status = 'planned'))::float8 AS oldest
     FROM batches b WHERE b.status IN ('validating', 'in_progress', 'finalizing', 'cancelling') GROUP BY b.status`,
  )
  metrics.batches.reset()
  for (const { status, count } of counts) metrics.batches.set({ status }, count)
  metrics.oldestWaitingSeconds.set(Math.max(0, ...counts.map(({ oldest }) => oldest ?? 0)))
}
