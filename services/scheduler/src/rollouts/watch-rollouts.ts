import type { Clock, Logger } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import {
  judgeRollout,
  moveRollout,
  type Rollout,
  readFigures,
  readQualityFigures,
  rolloutColumns,
} from '@forebay/rollouts'
import type { Database } from '@forebay/store'
import { databaseNowMs } from '../batch-row.ts'
import type { SchedulerMetrics } from '../metrics.ts'
import { servedModels } from '../pools/pool-book.ts'

// Any constant will do: it lets one replica at a time judge.
const lockKey = 7_074_610_437
// The old version is also looked at as it was before the rollout: at a large weight little of it ends beside the new one.
const beforeMs = 3_600_000

/**
 * One look at every running rollout: back, on or neither, by what its requests came to. One replica at a time; a move
 * that an admin made meanwhile stands. True when something moved.
 */
export async function watchRollouts(options: {
  db: Database
  pools: Pools
  clock: Clock
  logger: Logger
  metrics: SchedulerMetrics
  /** The least score that a judge's answer may have without being flagged. */
  scoreMin: number
}): Promise<boolean> {
  const { clock, db, logger, metrics, pools } = options
  let movedAny = false
  await db.tx(async (tx) => {
    const [lock] = await tx.query<{ held: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS held', [lockKey])
    if (!lock?.held) return
    const running = await tx.query<Rollout>(
      `SELECT ${rolloutColumns} FROM rollouts WHERE state = 'running' ORDER BY id`,
    )
    metrics.rolloutWeight.reset()
    if (running.length === 0) return
    const nowMs = await databaseNowMs(tx)
    const served = await servedModels(tx, pools)
    for (const rollout of running) {
      const { fromVersion, id, model, toVersion } = rollout
      const serving = [...served].filter(([, models]) => models.has(model)).map(([name]) => name)
      const inPools = (version: string | null) =>
        serving.filter((name) => (pools.spec(name)?.versions?.[model] ?? null) === version)
      const figures = {
        from: await readFigures(tx, { model, pools: inPools(fromVersion), sinceMs: rollout.createdAtMs - beforeMs }),
        to: await readFigures(tx, { model, pools: inPools(toVersion), sinceMs: rollout.steppedAtMs }),
      }
      const quality = await readQualityFigures(tx, {
        ...{ model, from: inPools(fromVersion), to: inPools(toVersion), sinceMs: rollout.createdAtMs },
        scoreMin: options.scoreMin,
      })
      const verdict = judgeRollout(rollout, figures, nowMs, quality)
      metrics.rolloutWeight.set({ model, version: toVersion }, verdict.weight)
      if (verdict.move === 'wait') {
        await tx.query('UPDATE rollouts SET figures = $2 WHERE id = $1', [
          id,
          JSON.stringify({ ...verdict.figures, waiting: verdict.reason }),
        ])
        continue
      }
      const state = verdict.move === 'step' ? 'running' : verdict.move === 'promote' ? 'promoted' : 'rolled_back'
      const move = { state, weight: verdict.weight, reason: verdict.reason, by: 'forebay' } as const
      const moved = await moveRollout(tx, { seen: rollout, move, figures: verdict.figures, nowMs: clock.now() })
      if (!moved) continue
      movedAny = true
      metrics.rolloutMoves.inc({ model, move: verdict.move })
      logger.warn({ rolloutId: id, model, weight: verdict.weight, reason: verdict.reason }, 'rollout moved by itself')
    }
  })
  return movedAny
}
