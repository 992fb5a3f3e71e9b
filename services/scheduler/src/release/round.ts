import type { Logger } from '@forebay/kernel'
import type { Database, Queryable } from '@forebay/store'
import { databaseNowMs, openBatches } from '../batch-row.ts'
import type { SchedulerMetrics } from '../metrics.ts'
import type { ModelBook } from '../models.ts'
import { chunkKey, markReleased, outChunks } from './chunk-rows.ts'
import { fillWindows } from './fill-windows.ts'
import type { LaneWatch } from './lane-watch.ts'
import { notSent, type SendChunks, type Shipment } from './send-chunks.ts'
import { isRunning, settleChunks } from './settle-chunks.ts'

// Any constant will do: it lets one replica at a time choose.
const lockKey = 7_074_610_432

interface Chosen {
  shipments: Shipment[]
  /** New virtual tokens of the batches that were charged. */
  batchTokens: Map<string, number>
}

/**
 * Rounds of release: each settles which released chunks are done or lost, fills the lanes' windows by fair share, and
 * sends the jobs. The choice is made under a lock that one replica holds at a time; a job is sent only after its attempt
 * is on record, so a crash between the two leaves a chunk to be found by its silence.
 */
export class ReleaseRounds {
  readonly #options: ReleaseOptions
  #turn = 0

  constructor(options: ReleaseOptions) {
    this.#options = options
  }

  /** Runs a round; true when another should follow at once. Throws `unavailable` when jobs did not reach the broker. */
  async run(): Promise<boolean> {
    const { db, send, metrics } = this.#options
    const chosen = await db.tx((tx) => this.#choose(tx))
    if (!chosen) return false
    // One statement per batch: results locks several batches at once, in its own order.
    for (const [id, tokens] of chosen.batchTokens) {
      await db.query('UPDATE batches SET virtual_tokens = $2 WHERE id = $1', [id, tokens])
    }
    const failed = await send(chosen.shipments)
    for (const { batch } of failed) metrics.sendFailures.inc({ pool: batch.pool ?? '', lane: batch.lane })
    if (failed.length > 0) throw notSent(failed.length)
    return chosen.shipments.length > 0
  }

  async #choose(tx: Queryable): Promise<Chosen | undefined> {
    const { logger, metrics, watch, models } = this.#options
    const [lock] = await tx.query<{ held: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS held', [lockKey])
    if (!lock?.held) return undefined
    const nowMs = await databaseNowMs(tx)
    const batches = new Map((await openBatches(tx)).map((batch) => [batch.id, batch]))
    const chunks = await outChunks(tx)
    watch.observe(nowMs, batches, chunks)
    const { out, lost } = await settleChunks(tx, { nowMs, batches, chunks, watch })
    const running = [...batches.values()].filter((batch) => isRunning(batch, nowMs))
    const choices = await fillWindows(tx, { nowMs, turn: this.#turn, running, batches, out, watch, models, metrics })
    const picks = choices.flatMap((choice) => choice.picks)
    this.#turn += picks.length
    const reasons = new Map<string, string>(lost.map(({ chunk, why }) => [chunkKey(chunk), why]))
    for (const { chunk, why } of lost) {
      const { batchId, index, attempt } = chunk
      logger.info({ batchId, chunk: index, attempt, why }, 'chunk released again')
    }
    const toSend = [...lost.map(({ chunk }) => chunk), ...picks]
    const released = toSend.length === 0 ? [] : await markReleased(tx, toSend)
    const shipments = released.flatMap((chunk): Shipment[] => {
      const batch = batches.get(chunk.batchId)
      if (!batch) return []
      const reason = reasons.get(chunkKey(chunk)) ?? 'first'
      metrics.chunksReleased.inc({ pool: batch.pool ?? '', lane: batch.lane, reason })
      return [{ batch, chunk }]
    })
    const order = new Map(toSend.map((chunk, i) => [chunkKey(chunk), i]))
    shipments.sort((a, b) => (order.get(chunkKey(a.chunk)) ?? 0) - (order.get(chunkKey(b.chunk)) ?? 0))
    return { shipments, batchTokens: new Map(choices.flatMap((choice) => [...choice.batches])) }
  }
}

/** What the rounds need. */
export interface ReleaseOptions {
  db: Database
  logger: Logger
  metrics: SchedulerMetrics
  watch: LaneWatch
  models: ModelBook
  send: SendChunks
}
