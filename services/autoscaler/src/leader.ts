import { type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import type { Database, Queryable } from '@forebay/store'

// Any constant will do: it lets one replica decide.
const lockKey = 7_074_610_433

/**
 * Repeats `lead` every `everyMs` in the one replica that holds the lock, and `follow` in the others. The lock belongs to a
 * transaction that stays open; it ends with its connection, so that another replica takes over within one interval.
 */
export class Leader implements Running {
  readonly #options: LeaderOptions
  readonly #stopping = new AbortController()
  #done: Promise<void> | undefined

  constructor(options: LeaderOptions) {
    this.#options = options
  }

  start(): void {
    this.#done ??= this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#done
  }

  async #run(): Promise<void> {
    const { db, follow, logger, onFailure } = this.#options
    while (!this.#stopping.signal.aborted) {
      try {
        await db.tx((tx) => this.#lead(tx))
        if (!this.#stopping.signal.aborted) await follow()
      } catch (err) {
        onFailure()
        logger.warn({ reason: describeError(err) }, 'autoscaler cannot decide; what was decided stays')
      }
      await this.#pause()
    }
  }

  /** Returns at once when another replica holds the lock, else when stopped. */
  async #lead(tx: Queryable): Promise<void> {
    const { begin, lead, logger, onFailure } = this.#options
    const [lock] = await tx.query<{ held: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS held', [lockKey])
    if (!lock?.held) return
    await begin()
    while (!this.#stopping.signal.aborted) {
      // Fails when the connection, and with it the lock, is gone.
      await tx.query('SELECT 1')
      await lead().catch((err: unknown) => {
        onFailure()
        logger.warn({ reason: describeError(err) }, 'autoscaler cannot decide; what was decided stays')
      })
      await this.#pause()
    }
  }

  async #pause(): Promise<void> {
    await this.#options.clock.sleep(this.#options.everyMs, this.#stopping.signal).catch(() => {})
  }
}

interface LeaderOptions {
  db: Database
  clock: Clock
  logger: Logger
  everyMs: number
  /** Called once, when the lock was won. */
  begin: () => Promise<void>
  lead: () => Promise<void>
  follow: () => Promise<void>
  onFailure: () => void
}
