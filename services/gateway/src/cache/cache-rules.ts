import { type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import type { Database, Row } from '@forebay/store'

const readEveryMs = 2_000
/** What was read longer ago says nothing: an erasure may have come since. */
const trustedMs = 30_000

interface TenantRules {
  exact: boolean
  semantic: boolean
  /** Longest that an answer is kept. */
  ttlMs: number
  /** Whether its live requests' content is kept. */
  keepLive: boolean
}

/**
 * What holds for cached answers: the epochs that are part of their keys, and each tenant's own wishes. Read from the
 * tables every 2 s; while they cannot be read for longer than half a minute nothing is served from a cache.
 */
export class CacheRules implements Running {
  readonly #options: {
    db: Database
    clock: Clock
    logger: Logger
    ttlMs: number
    erase: (tenantId: string) => Promise<void>
    clear: () => void
  }
  #epochs: ReadonlyMap<string, number> = new Map()
  #tenants: ReadonlyMap<string, TenantRules> = new Map()
  #readMs = Number.NEGATIVE_INFINITY
  readonly #toErase = new Set<string>()
  #stopTimer: (() => void) | undefined
  #reading: Promise<void> | undefined

  constructor(options: {
    db: Database
    clock: Clock
    logger: Logger
    /** How long entries live; what was flushed longer ago is gone by itself. */
    ttlMs: number
    /** Deletes a tenant's entries; called again until it resolves. */
    erase: (tenantId: string) => Promise<void>
    /** Forgets what this process keeps. */
    clear: () => void
  }) {
    this.#options = options
  }

  async start(): Promise<void> {
    this.#stopTimer ??= this.#options.clock.every(readEveryMs, () => void this.read())
    await this.read()
  }

  async stop(): Promise<void> {
    this.#stopTimer?.()
    this.#stopTimer = undefined
    await this.#reading
  }

  /** The epoch of a tenant's answers of a model; undefined when it is not known, and nothing may be served. */
  epochOf(tenantId: string, model: string): string | undefined {
    if (this.#options.clock.now() - this.#readMs > trustedMs) return undefined
    const names = [nameOf('*', '*'), nameOf('*', model), nameOf(tenantId, '*'), nameOf(tenantId, '**')]
    return [...names, nameOf(tenantId, model)].map((name) => this.#epochs.get(name) ?? 0).join('.')
  }

  /** What a tenant wants. */
  of(tenantId: string): TenantRules {
    return this.#tenants.get(tenantId) ?? { exact: true, semantic: false, ttlMs: this.#options.ttlMs, keepLive: false }
  }

  /** Reads what was written before the call; never rejects. */
  async readAnew(): Promise<void> {
    // A read under way may have begun before.
    await this.#reading
    await this.read()
  }

  /** Reads the tables now; never rejects. */
  async read(): Promise<void> {
    this.#reading ??= this.#read()
      .catch((err: unknown) => this.#options.logger.warn({ reason: describeError(err) }, 'cache rules not read'))
      .finally(() => {
        this.#reading = undefined
      })
    await this.#reading
  }

  async #read(): Promise<void> {
    const { db, clock, ttlMs } = this.#options
    const atMs = clock.now()
    const first = this.#readMs === Number.NEGATIVE_INFINITY
    const rows = await db.query<{ tenant_id: string; model: string; epoch: number; young: boolean }>(
      `SELECT tenant_id, model, epoch, bumped_at > now() - $1 * interval '1 millisecond' AS young FROM cache_epochs`,
      [ttlMs],
    )
    const tenants = await db.query<Row & { tenant_id: string } & TenantRules>(
      `SELECT coalesce(c.tenant_id, r.tenant_id) AS tenant_id, coalesce(exact, true) AND kept.seconds > 0 AS exact,
         coalesce(semantic, false) AND kept.seconds > 0 AS semantic, 1000 * kept.seconds AS "ttlMs",
         coalesce(r.keep_live AND NOT r.zero, false) AS "keepLive"
       FROM tenant_caches c FULL JOIN tenant_retention r ON r.tenant_id = c.tenant_id,
         LATERAL (SELECT CASE WHEN r.zero THEN 0 ELSE least(r.cache_seconds, $1::float8 / 1000) END AS seconds) AS kept`,
      [ttlMs],
    )
    const epochs = new Map(rows.map((row) => [nameOf(row.tenant_id, row.model), row.epoch]))
    for (const { tenant_id: tenantId, model, young } of rows) {
      const name = nameOf(tenantId, model)
      if (epochs.get(name) === this.#epochs.get(name) || model !== '*') continue
      // At the start it is not known who has deleted what: once more does no harm.
      if (tenantId !== '*' && (!first || young)) this.#toErase.add(tenantId)
      if (tenantId === '*') this.#options.clear()
    }
    this.#epochs = epochs
    this.#tenants = new Map(tenants.map((row) => [row.tenant_id, row]))
    this.#readMs = atMs
    await this.#erase()
  }

  async #erase(): Promise<void> {
    for (const tenantId of [...this.#toErase]) {
      try {
        await this.#options.erase(tenantId)
        this.#toErase.delete(tenantId)
      } catch (err) {
        this.#options.logger.warn({ tenantId, reason: describeError(err) }, 'cached answers not deleted; tried again')
      }
    }
  }
}

function nameOf(tenantId: string, model: string): string {
  return `${tenantId} ${model}`
}
