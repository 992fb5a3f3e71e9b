import type { Announcement } from '@forebay/contracts'
import { type Clock, describeError, ForebayError, type Logger, type Running } from '@forebay/kernel'
import type { ReplyBus } from '@forebay/reply-bus'
import type { Database, Row } from '@forebay/store'

/** A model that some pool serves or served. */
export interface KnownModel {
  id: string
  engine: string
  firstSeenMs: number
}

interface ModelRow extends Row {
  pool: string
  model: string
  engine: string
  first_seen_at: Date
  last_seen_at: Date
}

const tableKeptMs = 2_000
/** Workers announce themselves every two seconds. */
const workerGoneMs = 6_000

/** Which pool serves which model: the models table, read at most every 2 s, and what the workers announce. */
export class ModelDirectory implements Running {
  readonly #db: Database
  readonly #bus: ReplyBus
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #workers = new Map<string, Announcement & { heardMs: number }>()
  readonly #poolHeardMs = new Map<string, number>()
  #rows: readonly ModelRow[] = []
  #readMs = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined
  #stopListening: (() => Promise<void>) | undefined

  constructor(options: { db: Database; bus: ReplyBus; clock: Clock; logger: Logger }) {
    this.#db = options.db
    this.#bus = options.bus
    this.#clock = options.clock
    this.#logger = options.logger
  }

  async start(): Promise<void> {
    this.#stopListening ??= await this.#bus.onAnnounce((announcement) => this.#heard(announcement))
  }

  async stop(): Promise<void> {
    await this.#stopListening?.()
    this.#stopListening = undefined
  }

  /** The pool to send a model's request to: of those with a live worker the least loaded, else the last seen. Throws `model_not_found`. */
  async poolFor(model: string): Promise<string> {
    const live = this.#liveWorkers()
      .filter((worker) => worker.models.some(({ id }) => id === model))
      .sort((a, b) => load(a) - load(b))
    if (live[0]) return live[0].pool
    await this.#refresh()
    const row = this.#rows.find((known) => known.model === model)
    if (row) return row.pool
    throw new ForebayError(
      'model_not_found',
      `The model \`${model}\` does not exist or you do not have access to it.`,
      { param: 'model' },
    )
  }

  /** Every known model, by name. */
  async list(): Promise<KnownModel[]> {
    await this.#refresh()
    const models = new Map<string, KnownModel>()
    for (const row of this.#rows) {
      const firstSeenMs = Math.min(row.first_seen_at.getTime(), models.get(row.model)?.firstSeenMs ?? Infinity)
      models.set(row.model, { id: row.model, engine: row.engine, firstSeenMs })
    }
    for (const worker of this.#liveWorkers()) {
      for (const { id } of worker.models) {
        if (!models.has(id)) models.set(id, { id, engine: worker.engine, firstSeenMs: worker.atMs })
      }
    }
    return [...models.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** When a worker of the pool that takes work was last heard of; long ago when never. */
  lastHeardMs(pool: string): number {
    return this.#poolHeardMs.get(pool) ?? Number.NEGATIVE_INFINITY
  }

  #heard(announcement: Announcement): void {
    const heardMs = this.#clock.now()
    this.#workers.set(announcement.workerId, { ...announcement, heardMs })
    if (announcement.healthy && !announcement.draining) this.#poolHeardMs.set(announcement.pool, heardMs)
    for (const [id, worker] of this.#workers) {
      if (heardMs - worker.heardMs > workerGoneMs) this.#workers.delete(id)
    }
  }

  #liveWorkers(): Announcement[] {
    const now = this.#clock.now()
    return [...this.#workers.values()].filter(
      (worker) => worker.healthy && !worker.draining && now - worker.heardMs <= workerGoneMs,
    )
  }

  async #refresh(): Promise<void> {
    if (this.#clock.now() - this.#readMs < tableKeptMs) return
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    await this.#reading
  }

  async #read(): Promise<void> {
    try {
      this.#rows = await this.#db.query<ModelRow>('SELECT * FROM models ORDER BY last_seen_at DESC, pool')
      this.#readMs = this.#clock.now()
    } catch (err) {
      // What was known goes on being served; a gateway that knows nothing yet cannot tell.
      if (this.#readMs === Number.NEGATIVE_INFINITY) throw err
      this.#logger.warn({ reason: describeError(err) }, 'models table not read; the last known models stay')
    }
  }
}

function load(worker: Announcement): number {
  const { realtime, standard, batch } = worker.inFlight
  // Batch work yields to live work, so it hardly counts.
  return (realtime + standard + batch / 100) / Math.max(1, worker.inFlightMax)
}
