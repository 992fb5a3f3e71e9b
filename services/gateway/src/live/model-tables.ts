import { type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import { spentToday } from '@forebay/ledger'
import type { Pools } from '@forebay/pools'
import { type ModelVersions, readVersions } from '@forebay/rollouts'
import type { Database, Row } from '@forebay/store'

/** Which pool serves or served which model. */
export interface ModelRow extends Row {
  pool: string
  model: string
  engine: string
  first_seen_at: Date
  last_seen_at: Date
}

const keptMs = 2_000

/** What the tables say of models and pools, read every 2 s; what was known stays while they cannot be read. */
export class ModelTables implements Running {
  readonly #options: { db: Database; clock: Clock; logger: Logger; pools: Pools }
  #readMs = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined
  #stopReading: (() => void) | undefined
  /** The newest first. */
  rows: readonly ModelRow[] = []
  /** When a pool was drained. */
  drainedAt: ReadonlyMap<string, Date> = new Map()
  /** Charged today for pools with a cap, in nano-units. */
  spentNano: ReadonlyMap<string, number> = new Map()
  /** The versions of models that are being rolled out. */
  rolledOut: ReadonlyMap<string, ModelVersions> = new Map()

  constructor(options: { db: Database; clock: Clock; logger: Logger; pools: Pools }) {
    this.#options = options
  }

  /** Starts reading every 2 s. Safe to repeat. */
  start(): void {
    this.#stopReading ??= this.#options.clock.every(keptMs, () => void this.refresh().catch(() => {}))
  }

  async stop(): Promise<void> {
    this.#stopReading?.()
    this.#stopReading = undefined
  }

  /** Reads unless that was done lately. Rejects only when nothing was ever read. */
  async refresh(): Promise<void> {
    if (this.#options.clock.now() - this.#readMs < keptMs) return
    this.#reading ??= this.read().finally(() => {
      this.#reading = undefined
    })
    await this.#reading
  }

  /** Reads now. Rejects only when nothing was ever read. */
  async read(): Promise<void> {
    const { clock, db, logger, pools } = this.#options
    try {
      this.rows = await db.query<ModelRow>('SELECT * FROM models ORDER BY last_seen_at DESC, pool')
      const drained = await db.query<{ name: string; drained_at: Date } & Row>(
        'SELECT name, drained_at FROM pools WHERE drained_at IS NOT NULL',
      )
      this.drainedAt = new Map(drained.map(({ name, drained_at }) => [name, drained_at]))
      const capped = pools.list().filter(({ spendCapPerDay }) => spendCapPerDay !== undefined)
      this.spentNano = await spentToday(
        db,
        capped.map(({ name }) => name),
      )
      this.rolledOut = await readVersions(db)
      this.#readMs = clock.now()
    } catch (err) {
      // What was known goes on being served; a gateway that knows nothing yet cannot tell.
      if (this.#readMs === Number.NEGATIVE_INFINITY) throw err
      logger.warn({ reason: describeError(err) }, 'models and pools not read; what was known stays')
    }
  }
}
