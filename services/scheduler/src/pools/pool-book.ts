import type { Clock } from '@forebay/kernel'
import { spentToday } from '@forebay/ledger'
import type { Pools } from '@forebay/pools'
import { proximity } from '@forebay/router'
import type { Queryable, Row } from '@forebay/store'
import type { ModelBook } from '../models.ts'
import type { DepthBook } from '../release/depth-book.ts'
import type { PoolView } from './route-batch.ts'

// A broker or store that is away for less is waited for: what runs there would be done twice elsewhere.
const lostMs = 5_000
// The ledger's day is summed no more often than this.
const spentKeptMs = 5_000

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
  #spentNano: ReadonlyMap<string, number> = new Map()
  #spentReadMs = Number.NEGATIVE_INFINITY

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
    const rows = await db.query<Row & { pool: string; model: string | null }>(
      'SELECT pool, model FROM models UNION ALL SELECT name, NULL FROM pools WHERE drained_at IS NOT NULL',
    )
    const served = servedBy(
      pools,
      rows.flatMap(({ model, pool }) => (model === null ? [] : [{ model, pool }])),
    )
    this.#drained = rows.flatMap(({ model, pool }) => (model === null && pools.knows(pool) ? [pool] : []))
    await this.#readSpent(db)
    return [...served].map(([name, models]) => this.#view(name, models)).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async #readSpent(db: Queryable): Promise<void> {
    const { clock, pools } = this.#options
    const capped = pools.list().filter(({ spendCapPerDay }) => spendCapPerDay !== undefined)
    if (clock.now() - this.#spentReadMs < spentKeptMs) return
    this.#spentNano = await spentToday(
      db,
      capped.map(({ name }) => name),
    )
    this.#spentReadMs = clock.now()
  }

  #view(name: string, models: ReadonlySet<string>): PoolView {
    const { clock, depths, heldBack, models: workers, pools } = this.#options
    // Asking keeps the depth refreshed, which is how a broker that is back is noticed.
    depths.get(name, 'batch')
    const trouble = pools.trouble(name)
    const live = workers.liveWorkers(name) > 0
    const spec = pools.spec(name)
    const [cap, cost] = [spec?.spendCapPerDay, spec?.costPerGpuHour]
    return {
      name,
      residency: spec?.residency ?? [],
      models,
      versions: spec?.versions,
      live,
      dead: !live && workers.hearsAll,
      shut: this.#drained.includes(name) ? 'is drained' : (trouble?.reason ?? heldBack(name)),
      lost: trouble !== undefined && clock.now() - trouble.sinceMs >= lostMs,
      tier: spec?.tier ?? 1,
      managed: spec?.managed ?? false,
      spendLeft: cap === undefined ? undefined : cap * 1e9 - (this.#spentNano.get(name) ?? 0),
      costPerHour: cost === undefined ? undefined : cost * (spec?.gpus ?? 1),
      proximity: proximity(pools.routing.home, { cloud: spec?.cloud, region: spec?.region }),
    }
  }
}

/** The models of each known pool: those its workers announced ever, and those it is configured for. */
export async function servedModels(db: Queryable, pools: Pools): Promise<Map<string, Set<string>>> {
  return servedBy(pools, await db.query<Row & { model: string; pool: string }>('SELECT pool, model FROM models'))
}

function servedBy(pools: Pools, announced: readonly { model: string; pool: string }[]): Map<string, Set<string>> {
  const served = new Map(pools.list().map((pool) => [pool.name, new Set(pool.models)]))
  for (const { model, pool } of announced) {
    const only = pools.spec(pool)?.models
    if (!pools.knows(pool) || (only && !only.includes(model))) continue
    served.set(pool, (served.get(pool) ?? new Set()).add(model))
  }
  return served
}
