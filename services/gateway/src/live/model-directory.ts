import type { Announcement } from '@forebay/contracts'
import type { Clock, Logger, Running } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import type { ReplyBus } from '@forebay/reply-bus'
import type { Database } from '@forebay/store'
import { LatencyBook } from './latency-book.ts'
import { ModelTables } from './model-tables.ts'
import { type PoolChoice, PoolChooser, type PoolWish } from './pool-chooser.ts'
import { WorkerBook } from './worker-book.ts'

/** A model that some pool serves or served. */
export interface KnownModel {
  id: string
  engine: string
  firstSeenMs: number
}

/** Which pool serves which model: by the tables, read every 2 s, and by what the workers announce. */
export class ModelDirectory implements Running {
  readonly #bus: ReplyBus
  readonly #logger: Logger
  readonly #pools: Pools
  readonly #tables: ModelTables
  readonly #workers: WorkerBook
  readonly #chooser: PoolChooser
  /** How long pools take to begin their answers. */
  readonly latencies = new LatencyBook()
  #stopListening: (() => Promise<void>) | undefined

  constructor(options: {
    db: Database
    bus: ReplyBus
    clock: Clock
    logger: Logger
    pools: Pools
    /** This gateway's calls under way in a pool. */
    ownCalls: (pool: string) => number
  }) {
    this.#bus = options.bus
    this.#logger = options.logger
    this.#pools = options.pools
    this.#tables = new ModelTables(options)
    this.#workers = new WorkerBook(options)
    const { latencies } = this
    this.#chooser = new PoolChooser({ ...options, tables: this.#tables, workers: this.#workers, latencies })
  }

  async start(): Promise<void> {
    this.#stopListening ??= await this.#bus.onAnnounce((announcement) => this.#workers.heard(announcement))
    this.#tables.start()
    // Without the database the gateway starts, too; what it cannot know then is asked for again.
    await this.#tables
      .refresh()
      .then(() => this.#nameUnknownTargets())
      .catch(() => {})
  }

  async stop(): Promise<void> {
    await this.#tables.stop()
    await this.#stopListening?.()
    this.#stopListening = undefined
  }

  /** As `PoolChooser.poolFor`. */
  poolFor(wish: PoolWish): Promise<PoolChoice> {
    return this.#chooser.poolFor(wish)
  }

  /** As `PoolChooser.livePoolFor`. */
  livePoolFor(wish: PoolWish): PoolChoice | undefined {
    return this.#chooser.livePoolFor(wish)
  }

  /** As `PoolChooser.versionsInPools`. */
  versionsInPools(model: string): { pool: string; version: string | null }[] {
    return this.#chooser.versionsInPools(model)
  }

  /** As `PoolChooser.shut`. */
  shut(pool: string): string | undefined {
    return this.#chooser.shut(pool)
  }

  /** Which version of a model a pool's live workers run; more than one while it is being changed, none when none says so. */
  versionsOf(pool: string, model: string): { said: string[]; seen: string } {
    const said = new Set<string>()
    const seen = new Set<string>()
    for (const worker of this.#workers.live()) {
      if (worker.pool !== pool) continue
      for (const { id, contextTokens, version } of worker.models) {
        if (id !== model) continue
        if (typeof version === 'string') said.add(version)
        const named = this.#pools.spec(pool)?.versions?.[model] ?? []
        seen.add(JSON.stringify([worker.engine, contextTokens, version ?? null].concat(named)))
      }
    }
    return { said: [...said].sort(), seen: [...seen].sort().join('|') }
  }

  /** Every known pool with its healthy workers: those configured, and those that were ever heard of. */
  async overview(): Promise<{ name: string; drainedAt: Date | undefined; workers: Announcement[] }[]> {
    await this.#tables.read()
    const live = this.#workers.live()
    const names = new Set(
      [...this.#pools.list(), ...this.#tables.rows.map(({ pool }) => ({ name: pool }))].map(({ name }) => name),
    )
    return [...names]
      .filter((name) => this.#pools.knows(name))
      .map((name) => ({
        name,
        drainedAt: this.#tables.drainedAt.get(name),
        workers: live.filter((worker) => worker.pool === name),
      }))
  }

  /** Every known model, by name. */
  async list(): Promise<KnownModel[]> {
    await this.#tables.refresh()
    const models = new Map<string, KnownModel>()
    for (const row of this.#tables.rows) {
      const firstSeenMs = Math.min(row.first_seen_at.getTime(), models.get(row.model)?.firstSeenMs ?? Infinity)
      models.set(row.model, { id: row.model, engine: row.engine, firstSeenMs })
    }
    for (const worker of this.#workers.live()) {
      for (const { id } of worker.models) {
        if (!models.has(id)) models.set(id, { id, engine: worker.engine, firstSeenMs: worker.atMs })
      }
    }
    for (const { alias } of this.#pools.routes) {
      if (!models.has(alias)) models.set(alias, { id: alias, engine: 'alias', firstSeenMs: 0 })
    }
    return [...models.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** Reads the tables again, as after a change of one's own. */
  async reload(): Promise<void> {
    await this.#tables.read()
  }

  /** When a worker of the pool that takes work was last heard of; long ago when never. */
  lastHeardMs(pool: string): number {
    return this.#workers.lastHeardMs(pool)
  }

  /** As `WorkerBook.lostMs`. */
  lostMs(pool: string): number {
    return this.#workers.lostMs(pool)
  }

  /** At the start: a misspelt model in an alias would else be found by a client. */
  #nameUnknownTargets(): void {
    const known = new Set([
      ...this.#tables.rows.map(({ model }) => model),
      ...this.#pools.list().flatMap(({ models }) => models ?? []),
    ])
    for (const { alias, to } of this.#pools.routes) {
      for (const model of Object.keys(to)) {
        if (!known.has(model))
          this.#logger.warn({ alias, model }, 'an alias stands for a model that no pool has served')
      }
    }
  }
}
