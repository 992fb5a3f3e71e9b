import { addAuditMonths, type SigningKey, sealRound, signCheckpoints } from '@forebay/audit'
import { type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import type { Database } from '@forebay/store'
import type { ResultsMetrics } from './metrics.ts'

const sealEveryMs = 500
const checkpointEveryMs = 60_000
const monthsEveryMs = 3_600_000

/** What an AuditKeeper needs. */
export interface AuditKeeperOptions {
  db: Database
  clock: Clock
  logger: Logger
  metrics: Pick<ResultsMetrics, 'sealed'>
  key: SigningKey
}

/**
 * Seals the audit log into its tenants' chains, twice a second, signs how far they have come each minute and when it
 * stops, and makes the partitions of the months to come. Any number of replicas may run; what fails is tried again.
 */
export class AuditKeeper implements Running {
  readonly #options: AuditKeeperOptions
  readonly #timers: (() => void)[] = []
  #work: Promise<void> = Promise.resolve()
  #sealing = false
  #stopped: Promise<void> | undefined

  constructor(options: AuditKeeperOptions) {
    this.#options = options
  }

  /** Starts keeping. Safe to repeat. */
  start(): void {
    if (this.#timers.length > 0) return
    const { clock, db } = this.#options
    this.#timers.push(
      clock.every(sealEveryMs, () => {
        if (this.#sealing) return
        this.#sealing = true
        this.#do('audit log could not be sealed', async () => {
          try {
            await this.#seal()
          } finally {
            this.#sealing = false
          }
        })
      }),
      clock.every(checkpointEveryMs, () => this.#do('audit log could not be signed', () => this.#sign())),
      clock.every(monthsEveryMs, () => this.#do('audit partitions could not be made', () => addAuditMonths(db))),
    )
  }

  /** Seals and signs what is there, then returns. */
  stop(): Promise<void> {
    this.#stopped ??= this.#drain()
    return this.#stopped
  }

  async #drain(): Promise<void> {
    for (const cancel of this.#timers) cancel()
    this.#do('audit log could not be sealed', () => this.#seal())
    this.#do('audit log could not be signed', () => this.#sign())
    await this.#work
  }

  #do(fault: string, work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch((err: unknown) => {
      this.#options.logger.warn({ reason: describeError(err) }, fault)
    })
  }

  async #seal(): Promise<void> {
    for (;;) {
      const { entries, more } = await sealRound(this.#options.db)
      this.#options.metrics.sealed(entries)
      if (!more) return
    }
  }

  async #sign(): Promise<void> {
    const { clock, db, key, logger } = this.#options
    for (const { hash, seq, tenantId } of await signCheckpoints(db, key, clock.now())) {
      // Also in the log: there it is out of reach of who can write to the database.
      logger.info({ tenantId, block: seq, hash: hash.toString('hex'), keyId: key.id }, 'audit checkpoint signed')
    }
  }
}
