import type { Clock } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import type { Queryable, Row } from '@forebay/store'
import type { ModelBook } from '../models.ts'
import type { DepthBook } from '../release/depth-book.ts'
import type { PoolView } from './route-batch.ts'

// A broker or store that is away for less is waited for: what runs there would be done twice elsewhere.
const lostMs = 5_000

/** What the release of chunks knows of the pools: which models they serve, whether they live, and why they may not be used. */
export class PoolBook {
  readonly #options: {
    pools: Pools
    models: ModelBook
    depths: DepthBook
    clock: Clock
    heldBack: (pool: string) => string | undefined
  }
  #drained: readonly string[] = []

  constructor(options: {
    pools: Pools
    models: ModelBook
    depths: DepthBook
    clock: Clock
    /** Why no chunks are sent to a pool for the moment. */
    heldBack: (pool: string) => string | undefined
  }) {
    this.#options = options
  }

  /** The pools that are to be emptied, as last read. */
  get drained(): readonly string[] {
    return this.#drained
  }

  /** Every known pool, by name. */
  async read(db: Queryable): Promise<PoolView[]> {
    const { pools } = this.#options
    const served = await servedModels(db, pools)
    const drained = await db.query<{ name: string } & Row>('SELECT name FROM pools WHERE drained_at IS NOT NULL')
    this.#drained = drained.map(({ name }) => name).filter((name) => pools.knows(name))
    return [...served].map(([name, models]) => this.#view(name, models)).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  #view(name: string, models: ReadonlySet<string>): PoolView {
    const { clock, depths, heldBack, models: workers, pools } = this.#options
    // Asking keeps the depth refreshed, which is how a broker that is back is noticed.
    depths.get(name, 'batch')
    const trouble = pools.trouble(name)
    const live = workers.liveWorkers(name) > 0
    return {
      name,
      residency: pools.spec(name)?.residency ?? [],
      models,
      live,
      dead: !live && workers.hearsAll,
      shut: this.#drained.includes(name) ? 'is drained' : (trouble?.reason ?? heldBack(name)),
      lost: trouble !== undefined && clock.now() - trouble.sinceMs >= lostMs,
    }
  }
}

/** The models of each known pool: those its workers announced ever, and those it is configured for. */
export async function servedModels(db: Queryable, pools: Pools): Promise<Map<string, Set<string>>> {
  const served = new Map(pools.list().map((pool) => [pool.name, new Set(pool.models)]))
  const rows = await db.query<{ model: string; pool: string } & Row>('SELECT pool, model FROM models')
  for (const { model, pool } of rows) {
    const only = pools.spec(pool)?.models
    if (!pools.knows(pool) || (only && !only.includes(model))) continue
    served.set(pool, (served.get(pool) ?? new Set()).add(model))
  }
  return served
}
