import type { Announcement } from '@forebay/contracts'
import { type Clock, describeError, ForebayError, type Logger, type Running } from '@forebay/kernel'
import { spentToday } from '@forebay/ledger'
import type { Pools } from '@forebay/pools'
import type { ReplyBus } from '@forebay/reply-bus'
import { type ModelVersions, readVersions, versionFor, versionsOf } from '@forebay/rollouts'
import { chooseRoute, type RouteDecision } from '@forebay/router'
import type { Database, Row } from '@forebay/store'
import { LatencyBook } from './latency-book.ts'
import { liveCandidate } from './live-candidate.ts'

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

/** What a request asks of the pool it goes to. */
export interface PoolWish {
  model: string
  /** The tag that the pool must carry. */
  residency: string | null
  /** What a share of a rollout is drawn by: the request's id, so that every attempt gets the same version. */
  splitKey?: string
  /** Pools that failed it. */
  tried?: ReadonlySet<string>
  /** What requests with the same prefix share. */
  stickyKey?: string | undefined
  stream?: boolean
}

/** A wish for pools that run one version: null, the one without a name; undefined, any. */
type VersionWish = PoolWish & { version: string | null | undefined }

/** Where a request goes, and why. */
export type PoolChoice = Omit<RouteDecision<unknown>, 'pool'> & { pool: string; version: string | null | undefined }

/** Which pool serves which model: the tables, read every 2 s, and what the workers announce. */
export class ModelDirectory implements Running {
  readonly #db: Database
  readonly #bus: ReplyBus
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #pools: Pools
  readonly #workers = new Map<string, Announcement & { heardMs: number }>()
  readonly #poolHeardMs = new Map<string, number>()
  #rows: readonly ModelRow[] = []
  #drainedAt: ReadonlyMap<string, Date> = new Map()
  #spentNano: ReadonlyMap<string, number> = new Map()
  #rolledOut: ReadonlyMap<string, ModelVersions> = new Map()
  readonly #ownCalls: (pool: string) => number
  /** How long pools take to begin their answers. */
  readonly latencies = new LatencyBook()
  #readMs = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined
  #stopListening: (() => Promise<void>) | undefined
  #stopReading: (() => void) | undefined

  constructor(options: {
    db: Database
    bus: ReplyBus
    clock: Clock
    logger: Logger
    pools: Pools
    /** This gateway's calls under way in a pool. */
    ownCalls: (pool: string) => number
  }) {
    this.#ownCalls = options.ownCalls
    this.#db = options.db
    this.#bus = options.bus
    this.#clock = options.clock
    this.#logger = options.logger
    this.#pools = options.pools
  }

  async start(): Promise<void> {
    this.#stopListening ??= await this.#bus.onAnnounce((announcement) => this.#heard(announcement))
    this.#stopReading ??= this.#clock.every(tableKeptMs, () => void this.#refresh().catch(() => {}))
    // Without the database the gateway starts, too; what it cannot know then is asked for again.
    await this.#refresh()
      .then(() => this.#nameUnknownTargets())
      .catch(() => {})
  }

  async stop(): Promise<void> {
    this.#stopReading?.()
    this.#stopReading = undefined
    await this.#stopListening?.()
    this.#stopListening = undefined
  }

  /**
   * The pool to send a request to: the router's choice among those with a live worker, else among those that were seen to
   * serve the model or are configured to. Throws `model_not_found` when no pool may ever run it, `unavailable` when none
   * can just now.
   */
  async poolFor(wish: PoolWish): Promise<PoolChoice> {
    const live = this.livePoolFor(wish)
    if (live !== undefined) return live
    await this.#refresh()
    const { model, residency } = wish
    const [stable] = this.#versionsFor(wish).slice(-1)
    const declared = this.#pools.list().filter((pool) => pool.models?.includes(model))
    const seen = this.#rows.filter((row) => row.model === model).map((row) => row.pool)
    const versioned = { ...wish, version: stable }
    const allowed = [...new Set([...seen, ...declared.map((pool) => pool.name)])].filter((pool) =>
      this.#may(pool, versioned),
    )
    const open = this.#choose(allowed, versioned)
    if (open !== undefined) return open
    if (allowed.length > 0) {
      const reasons = allowed.map((pool) => `${pool} ${this.shut(pool) ?? 'has spent its cap for today'}`).join('; ')
      this.#logger.warn({ model, reasons }, 'no pool for a live request')
      const text = `No pool that serves the model \`${model}\` can be used right now. Please retry shortly.`
      throw new ForebayError('unavailable', text, { retryAfterMs: 5_000 })
    }
    const where = residency !== null && seen.length > 0 ? ` within the residency '${residency}'` : ''
    const text = `The model \`${model.slice(0, 256)}\` does not exist${where} or you do not have access to it.`
    throw new ForebayError('model_not_found', text, { param: 'model' })
  }

  /**
   * The router's choice among the pools with a live worker for a request, of the version that a rollout gives it, else of
   * the one that answers the others; undefined when none of them can be used.
   */
  livePoolFor(wish: PoolWish): PoolChoice | undefined {
    const names = new Set(this.#workersWith(wish.model).map(({ pool }) => pool))
    for (const version of this.#versionsFor(wish)) {
      const choice = this.#choose(names, { ...wish, version })
      if (choice) return choice
    }
    return undefined
  }

  /** Every pool that may run the model, with the version that it is configured to run: null for none named. */
  versionsInPools(model: string): { pool: string; version: string | null }[] {
    const names = [...this.#pools.list().map(({ name }) => name), ...this.#rows.map(({ pool }) => pool)]
    const serves = (name: string) =>
      this.#pools.spec(name)?.models?.includes(model) ||
      Object.hasOwn(this.#pools.spec(name)?.versions ?? {}, model) ||
      this.#rows.some((row) => row.pool === name && row.model === model) ||
      this.#workersWith(model).some(({ pool }) => pool === name)
    return [...new Set(names)]
      .filter((name) => this.#pools.knows(name) && serves(name))
      .map((pool) => ({ pool, version: this.#pools.spec(pool)?.versions?.[model] ?? null }))
  }

  /** The versions that a request may get, the one that it should get first. */
  #versionsFor({ model, splitKey }: PoolWish): (string | null | undefined)[] {
    const rolledOut = this.#rolledOut.get(model)
    // Most models have one version, and then nothing is looked up.
    if (!this.#pools.list().some(({ versions }) => versions && Object.hasOwn(versions, model))) return [undefined]
    const versions = versionsOf(
      this.versionsInPools(model).map(({ version }) => version),
      rolledOut,
    )
    if (!versions) return [undefined]
    const own = splitKey === undefined ? versions.stable : versionFor(versions, splitKey)
    return own === versions.stable ? [own] : [own, versions.stable]
  }

  /** Which version of a model a pool's live workers run; more than one while it is being changed, none when none says so. */
  versionsOf(pool: string, model: string): { said: string[]; seen: string } {
    const said = new Set<string>()
    const seen = new Set<string>()
    for (const worker of this.#liveWorkers()) {
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

  /** Why nothing new goes to a pool; undefined when something may. */
  shut(pool: string): string | undefined {
    return this.#drainedAt.has(pool) ? 'is drained' : this.#pools.trouble(pool)?.reason
  }

  /** Every known pool with its healthy workers: those configured, and those that were ever heard of. */
  async overview(): Promise<{ name: string; drainedAt: Date | undefined; workers: Announcement[] }[]> {
    await this.#read()
    const live = this.#liveWorkers()
    const names = new Set(
      [...this.#pools.list(), ...this.#rows.map(({ pool }) => ({ name: pool }))].map(({ name }) => name),
    )
    return [...names]
      .filter((name) => this.#pools.knows(name))
      .map((name) => ({
        name,
        drainedAt: this.#drainedAt.get(name),
        workers: live.filter((worker) => worker.pool === name),
      }))
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
    for (const { alias } of this.#pools.routes) {
      if (!models.has(alias)) models.set(alias, { id: alias, engine: 'alias', firstSeenMs: 0 })
    }
    return [...models.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** Reads the tables again, as after a change of one's own. */
  async reload(): Promise<void> {
    await this.#read()
  }

  /** When a worker of the pool that takes work was last heard of; long ago when never. */
  lastHeardMs(pool: string): number {
    return this.#poolHeardMs.get(pool) ?? Number.NEGATIVE_INFINITY
  }

  /** At the start: a misspelt model in an alias would else be found by a client. */
  #nameUnknownTargets(): void {
    const known = new Set([
      ...this.#rows.map(({ model }) => model),
      ...this.#pools.list().flatMap(({ models }) => models ?? []),
    ])
    for (const { alias, to } of this.#pools.routes) {
      for (const model of Object.keys(to)) {
        if (!known.has(model))
          this.#logger.warn({ alias, model }, 'an alias stands for a model that no pool has served')
      }
    }
  }

  #choose(names: Iterable<string>, wish: VersionWish): PoolChoice | undefined {
    const { model, residency, stickyKey, stream = false, tried, version } = wish
    const { routing } = this.#pools
    const nowMs = this.#clock.now()
    const workers = this.#workersWith(model)
    const pools = [...names]
      .filter((name) => this.#may(name, { model, residency: null, version }))
      .map((name) =>
        liveCandidate(
          {
            name,
            model,
            spec: this.#pools.spec(name),
            workers: workers.filter(({ pool }) => pool === name),
            ownCalls: this.#ownCalls(name),
            spentNano: this.#spentNano.get(name) ?? 0,
            latencyMs: this.latencies.read({ pool: name, model, stream }, nowMs),
            shut: this.shut(name),
          },
          routing,
        ),
      )
    const { pool, ...choice } = chooseRoute({
      ...{ pools, residency, stickyKey, tried },
      weights: routing.weights,
      spill: 'full',
    })
    return pool && { ...choice, pool: pool.name, version }
  }

  #workersWith(model: string): Announcement[] {
    return this.#liveWorkers().filter(({ models }) => models.some(({ id }) => id === model))
  }

  /** True when the pool may run the request, if not now. */
  #may(pool: string, { model, residency, version }: VersionWish): boolean {
    const spec = this.#pools.spec(pool)
    if (version !== undefined && (spec?.versions?.[model] ?? null) !== version) return false
    if (!this.#pools.knows(pool) || (spec?.models && !spec.models.includes(model))) return false
    return residency === null || (spec?.residency.includes(residency) ?? false)
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
      const drained = await this.#db.query<{ name: string; drained_at: Date } & Row>(
        'SELECT name, drained_at FROM pools WHERE drained_at IS NOT NULL',
      )
      this.#drainedAt = new Map(drained.map(({ name, drained_at }) => [name, drained_at]))
      const capped = this.#pools.list().filter(({ spendCapPerDay }) => spendCapPerDay !== undefined)
      this.#spentNano = await spentToday(
        this.#db,
        capped.map(({ name }) => name),
      )
      this.#rolledOut = await readVersions(this.#db)
      this.#readMs = this.#clock.now()
    } catch (err) {
      // What was known goes on being served; a gateway that knows nothing yet cannot tell.
      if (this.#readMs === Number.NEGATIVE_INFINITY) throw err
      this.#logger.warn({ reason: describeError(err) }, 'models and pools not read; what was known stays')
    }
  }
}
