import { type Clock, ForebayError, type Logger } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import { versionFor, versionsOf } from '@forebay/rollouts'
import { chooseRoute, type RouteDecision } from '@forebay/router'
import type { LatencyBook } from './latency-book.ts'
import { liveCandidate } from './live-candidate.ts'
import type { ModelTables } from './model-tables.ts'
import { prefixKey } from './prefix-key.ts'
import type { ServingPool, WorkerBook } from './worker-book.ts'

/** What a request asks of the pool it goes to. */
export interface PoolWish {
  model: string
  /** The tag that the pool must carry. */
  residency: string | null
  /** What a share of a rollout is drawn by: the request's id, so that every attempt gets the same version. */
  splitKey?: string
  /** Pools that failed it. */
  tried?: ReadonlySet<string>
  /** Its body: requests with the same prefix go to the same pool. */
  body?: object
  stream?: boolean
}

/** A wish for pools that run one version: null, the one without a name; undefined, any. */
type VersionWish = PoolWish & { version: string | null | undefined }

/** Where a request goes, and why. */
export type PoolChoice = Omit<RouteDecision<unknown>, 'pool'> & { pool: string; version: string | null | undefined }

/** Chooses the pool of each live request, by what the tables and the workers say at the moment. */
export class PoolChooser {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #pools: Pools
  readonly #tables: ModelTables
  readonly #workers: WorkerBook
  readonly #latencies: LatencyBook
  readonly #ownCalls: (pool: string) => number

  constructor(options: {
    clock: Clock
    logger: Logger
    pools: Pools
    tables: ModelTables
    workers: WorkerBook
    latencies: LatencyBook
    ownCalls: (pool: string) => number
  }) {
    this.#clock = options.clock
    this.#logger = options.logger
    this.#pools = options.pools
    this.#tables = options.tables
    this.#workers = options.workers
    this.#latencies = options.latencies
    this.#ownCalls = options.ownCalls
  }

  /**
   * The pool to send a request to: the router's choice among those with a live worker, else among those that were seen to
   * serve the model or are configured to. Throws `model_not_found` when no pool may ever run it, `unavailable` when none
   * can just now.
   */
  async poolFor(wish: PoolWish): Promise<PoolChoice> {
    const live = this.livePoolFor(wish)
    if (live !== undefined) return live
    await this.#tables.refresh()
    const { model, residency } = wish
    const [stable] = this.#versionsFor(wish).slice(-1)
    const declared = this.#pools.list().filter((pool) => pool.models?.includes(model))
    const seen = this.#tables.rows.filter((row) => row.model === model).map((row) => row.pool)
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
    const names = this.#workers.serving(wish.model).map(({ name }) => name)
    for (const version of this.#versionsFor(wish)) {
      const choice = this.#choose(names, { ...wish, version })
      if (choice) return choice
    }
    return undefined
  }

  /** Every pool that may run the model, with the version that it is configured to run: null for none named. */
  versionsInPools(model: string): { pool: string; version: string | null }[] {
    const names = [...this.#pools.list().map(({ name }) => name), ...this.#tables.rows.map(({ pool }) => pool)]
    const serves = (name: string) =>
      this.#pools.spec(name)?.models?.includes(model) ||
      Object.hasOwn(this.#pools.spec(name)?.versions ?? {}, model) ||
      this.#tables.rows.some((row) => row.pool === name && row.model === model) ||
      this.#workers.serving(model).some((pool) => pool.name === name)
    return [...new Set(names)]
      .filter((name) => this.#pools.knows(name) && serves(name))
      .map((pool) => ({ pool, version: this.#pools.spec(pool)?.versions?.[model] ?? null }))
  }

  /** The versions that a request may get, the one that it should get first. */
  #versionsFor({ model, splitKey }: PoolWish): (string | null | undefined)[] {
    const rolledOut = this.#tables.rolledOut.get(model)
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

  /** Why nothing new goes to a pool; undefined when something may. */
  shut(pool: string): string | undefined {
    return this.#tables.drainedAt.has(pool) ? 'is drained' : this.#pools.trouble(pool)?.reason
  }

  #choose(names: readonly string[], wish: VersionWish): PoolChoice | undefined {
    const { body, model, residency, stream = false, tried, version } = wish
    const { routing } = this.#pools
    const serving = this.#workers.serving(model)
    const [only] = serving
    if (only && names.length === 1 && names[0] === only.name && this.#isFree(only, wish)) {
      const { name: pool } = only
      return { pool, version, reason: 'only', why: `${pool}: no other pool may run it.`, scores: [], ruledOut: [] }
    }
    const nowMs = this.#clock.now()
    const stickyKey = body && prefixKey(model, body)
    const pools = names
      .filter((name) => this.#may(name, { model, residency: null, version }))
      .map((name) =>
        liveCandidate(
          {
            name,
            spec: this.#pools.spec(name),
            serving: serving.find((pool) => pool.name === name),
            ownCalls: this.#ownCalls(name),
            spentNano: this.#tables.spentNano.get(name) ?? 0,
            latencyMs: this.#latencies.read({ pool: name, model, stream }, nowMs),
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

  /** What the router would find of a pool without rivals: most deployments have one, and every live request asks. */
  #isFree({ name, taken }: ServingPool, wish: VersionWish): boolean {
    if (wish.residency !== null || wish.tried?.has(name) || taken >= 1) return false
    const spec = this.#pools.spec(name)
    return spec?.spendCapPerDay === undefined && this.shut(name) === undefined && this.#may(name, wish)
  }

  /** True when the pool may run the request, if not now. */
  #may(pool: string, { model, residency, version }: VersionWish): boolean {
    const spec = this.#pools.spec(pool)
    if (version !== undefined && (spec?.versions?.[model] ?? null) !== version) return false
    if (!this.#pools.knows(pool) || (spec?.models && !spec.models.includes(model))) return false
    return residency === null || (spec?.residency.includes(residency) ?? false)
  }
}
