import { backoffMs, type Clock, describeError, type Logger } from '@forebay/kernel'
import type { Database } from '@forebay/store'
import type { SchedulerMetrics } from '../metrics.ts'
import { markPlanned } from './chunk-rows.ts'
import type { SendToPool, Shipment } from './send-chunks.ts'

// A pool that takes longer goes on by itself; the next round does without it.
const patienceMs = 1_000

interface Failing {
  tries: number
  untilMs: number
  reason: string
}

/** Sends released chunks to all pools at once, so that one that is slow or refuses holds up no other. What a pool did not take is planned again, and the pool left alone for a while. */
export class PoolSends {
  readonly #options: {
    db: Database
    clock: Clock
    logger: Logger
    metrics: SchedulerMetrics
    send: SendToPool
    wake: () => void
  }
  readonly #sending = new Map<string, Promise<void>>()
  readonly #failing = new Map<string, Failing>()

  constructor(options: {
    db: Database
    clock: Clock
    logger: Logger
    metrics: SchedulerMetrics
    send: SendToPool
    /** Called when a send ended, well or not: another round may have work. */
    wake: () => void
  }) {
    this.#options = options
  }

  /** Why nothing is sent to a pool for the moment. */
  heldBack(pool: string): string | undefined {
    if (this.#sending.has(pool)) return 'is still being sent its last chunks'
    const failing = this.#failing.get(pool)
    if (!failing || this.#options.clock.now() >= failing.untilMs) return undefined
    return `did not take its last chunks: ${failing.reason}`
  }

  /** Never rejects because of a pool. */
  async send(shipments: readonly Shipment[]): Promise<void> {
    const { clock, wake } = this.#options
    const started = [...new Set(shipments.map(({ chunk }) => chunk.pool))].map((pool) => {
      const earlier = this.#sending.get(pool)
      const own = shipments.filter(({ chunk }) => chunk.pool === pool)
      const sent = (earlier ?? Promise.resolve()).then(() => this.#sendTo(pool, own))
      this.#sending.set(pool, sent)
      return sent.finally(() => {
        if (this.#sending.get(pool) === sent) this.#sending.delete(pool)
        wake()
      })
    })
    const answered = new AbortController()
    const late = clock.sleep(patienceMs, answered.signal).catch(() => {})
    await Promise.race([Promise.all(started), late])
    answered.abort()
  }

  /** Resolves when nothing is being sent. */
  async stop(): Promise<void> {
    await Promise.all(this.#sending.values())
  }

  async #sendTo(pool: string, shipments: readonly Shipment[]): Promise<void> {
    try {
      const { reason, refused } = await this.#options.send(pool, shipments)
      if (refused.length === 0) this.#failing.delete(pool)
      else await this.#putBack(pool, refused, reason)
    } catch (err) {
      await this.#putBack(pool, shipments, err)
    }
  }

  async #putBack(pool: string, shipments: readonly Shipment[], cause: unknown): Promise<void> {
    const { clock, db, logger, metrics } = this.#options
    const tries = (this.#failing.get(pool)?.tries ?? 0) + 1
    const waitMs = backoffMs(tries, { firstMs: 250, maxMs: 10_000 })
    const reason = describeError(cause)
    this.#failing.set(pool, { tries, untilMs: clock.now() + waitMs, reason })
    for (const { batch } of shipments) metrics.sendFailures.inc({ pool, lane: batch.lane })
    logger.warn({ pool, chunks: shipments.length, waitMs, reason }, 'chunks not sent')
    await markPlanned(
      db,
      shipments.map(({ chunk }) => chunk),
      // Without the database they are found by their silence.
    ).catch((err: unknown) => logger.warn({ pool, reason: describeError(err) }, 'chunks not taken back'))
  }
}
