import type { Logger } from '@forebay/kernel'
import { readVersions } from '@forebay/rollouts'
import type { Weights } from '@forebay/router'
import type { Database, Queryable } from '@forebay/store'
import { type BatchRow, epochMs, openBatches } from '../batch-row.ts'
import type { SchedulerMetrics } from '../metrics.ts'
import type { ModelBook } from '../models.ts'
import type { PoolBook } from '../pools/pool-book.ts'
import { chunkKey, markPlanned, markReleased, outChunks } from './chunk-rows.ts'
import { fillWindows } from './fill-windows.ts'
import type { LaneWatch } from './lane-watch.ts'
import type { PoolSends } from './pool-sends.ts'
import type { Shipment } from './send-chunks.ts'
import { isRunning, type Settled, settleChunks } from './settle-chunks.ts'
import { makeTargets, type Targets } from './targets.ts'

// Any constant will do: it lets one replica at a time choose.
const lockKey = 7_074_610_432

interface Chosen {
  shipments: Shipment[]
  /** New virtual tokens of the batches that were charged. */
  batchTokens: Map<string, number>
  /** Batches that wait for something else than before. */
  waiting: Map<string, string | null>
}

/**
 * Rounds of release: each settles which released chunks are done or lost, fills the windows of the pools' lanes by fair
 * share, and sends the jobs. The choice is made under a lock that one replica holds at a time; a job is sent only after
 * its attempt is on record, so a crash between the two leaves a chunk to be found by its silence.
 */
export class ReleaseRounds {
  readonly #options: ReleaseOptions
  #turn = 0

  constructor(options: ReleaseOptions) {
    this.#options = options
  }

  /** Runs a round; true when another should follow at once. */
  async run(): Promise<boolean> {
    const { db, sends } = this.#options
    const chosen = await db.tx((tx) => this.#choose(tx))
    if (!chosen) return false
    // One statement per batch: results locks several batches at once, in its own order.
    for (const [id, tokens] of chosen.batchTokens) {
      await db.query('UPDATE batches SET virtual_tokens = $2 WHERE id = $1', [id, tokens])
    }
    for (const [id, waitingFor] of chosen.waiting) {
      await db.query('UPDATE batches SET waiting_for = $2 WHERE id = $1', [id, waitingFor])
    }
    await sends.send(chosen.shipments)
    return chosen.shipments.length > 0
  }

  async #choose(tx: Queryable): Promise<Chosen | undefined> {
    const { metrics, pools, watch, models, weights } = this.#options
    const [lock] = await tx.query<{ held: boolean; nowMs: number }>(
      `SELECT pg_try_advisory_xact_lock($1) AS held, ${epochMs('now()')} AS "nowMs"`,
      [lockKey],
    )
    if (!lock?.held) return undefined
    const { nowMs } = lock
    const views = await pools.read(tx)
    const batches = new Map((await openBatches(tx)).map((batch) => [batch.id, batch]))
    const running = [...batches.values()].filter((batch) => isRunning(batch, nowMs))
    const targets = makeTargets(running, views, await readVersions(tx))
    const chunks = await outChunks(tx)
    watch.observe(nowMs, batches, chunks)
    const byName = new Map(views.map((view) => [view.name, view]))
    const { out, lost } = await settleChunks(tx, { nowMs, batches, chunks, watch, pools: byName, targets })
    const filled = await fillWindows(tx, {
      ...{ nowMs, turn: this.#turn, batches, targets, out, watch, models, metrics, weights },
    })
    this.#turn += filled.picks.length
    const again = await this.#releaseAgain(tx, lost, targets)
    const shipments = await this.#release(tx, batches, [...again, ...filled.picks])
    return { shipments, batchTokens: filled.batchTokens, waiting: newlyWaiting(running, targets) }
  }

  /** Where lost chunks go next: back where they were if they may, else where they may. Those that may go nowhere are planned. */
  async #releaseAgain(tx: Queryable, lost: Settled['lost'], targets: Targets) {
    const { logger } = this.#options
    const placed: { batchId: string; index: number; pool: string; why: string; route: string }[] = []
    const left: Settled['lost'][number]['chunk'][] = []
    for (const [i, { chunk, why }] of lost.entries()) {
      const pools = targets.routeOf(chunk)?.pools ?? []
      const others = pools.filter(({ name }) => name !== chunk.pool)
      const same = why === 'moved' ? undefined : pools.find(({ name }) => name === chunk.pool)
      const pool = same ?? others[i % Math.max(1, others.length)]
      const { batchId, index, attempt } = chunk
      logger.info({ batchId, chunk: index, attempt, why, from: chunk.pool, to: pool?.name }, 'chunk released again')
      const route = `${pool?.name}: attempt ${attempt + 1}, after the one in ${chunk.pool} (${why}).`
      if (pool) placed.push({ batchId, index, pool: pool.name, why, route })
      else left.push(chunk)
    }
    if (left.length > 0) await markPlanned(tx, left)
    return placed
  }

  async #release(
    tx: Queryable,
    batches: ReadonlyMap<string, BatchRow>,
    chunks: readonly { batchId: string; index: number; pool: string; why?: string; route: string }[],
  ): Promise<Shipment[]> {
    if (chunks.length === 0) return []
    const { metrics, staged } = this.#options
    const released = await markReleased(
      tx,
      chunks.map((chunk) => ({ ...chunk, staged: staged(chunk.pool) })),
    )
    const order = new Map(chunks.map((chunk, i) => [chunkKey(chunk), i]))
    const shipments = released.flatMap((chunk): Shipment[] => {
      const batch = batches.get(chunk.batchId)
      if (!batch) return []
      const reason = chunks[order.get(chunkKey(chunk)) ?? -1]?.why ?? 'first'
      metrics.chunksReleased.inc({ pool: chunk.pool, lane: batch.lane, reason })
      return [{ batch, chunk }]
    })
    return shipments.sort((a, b) => (order.get(chunkKey(a.chunk)) ?? 0) - (order.get(chunkKey(b.chunk)) ?? 0))
  }
}

function newlyWaiting(running: readonly BatchRow[], targets: Targets): Map<string, string | null> {
  return new Map(
    running.flatMap((batch) => {
      const waitingFor = targets.waitingFor(batch.id)
      return waitingFor === batch.waitingFor ? [] : [[batch.id, waitingFor]]
    }),
  )
}

/** What the rounds need. */
export interface ReleaseOptions {
  db: Database
  logger: Logger
  metrics: SchedulerMetrics
  watch: LaneWatch
  models: ModelBook
  pools: Pick<PoolBook, 'read'>
  sends: Pick<PoolSends, 'send'>
  /** How much each part of a pool's score counts. */
  weights: Weights
  /** True for a pool whose chunks are copied into its own store. */
  staged: (pool: string) => boolean
}
