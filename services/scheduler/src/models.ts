import type { Announcement } from '@forebay/contracts'
import type { Clock } from '@forebay/kernel'
import type { Queryable } from '@forebay/store'

const upsertEveryMs = 5000
const workerLivesMs = 10_000
// Workers announce themselves every two seconds; a longer silence of all of them is the reply bus's, not theirs.
const gapMsMax = 5_000
// About what one GPU of 80 GB leaves for the KV cache of a small model.
const cacheTokensUnknown = 262_144

/** What the workers say of themselves: kept for the models table, and for how many live in a pool. */
export class ModelBook {
  readonly #clock: Clock
  readonly #workers = new Map<
    string,
    { pool: string; heardMs: number; models: readonly string[]; tokensMax: number | null }
  >()
  readonly #pending = new Map<string, { pool: string; model: string; engine: string; contextTokens: number | null }>()
  readonly #writtenMs = new Map<string, number>()
  #heardMs = Number.NEGATIVE_INFINITY
  #hearingSinceMs = Number.POSITIVE_INFINITY

  constructor(options: { clock: Clock }) {
    this.#clock = options.clock
  }

  hear(announcement: Announcement): void {
    const { workerId, pool, engine } = announcement
    const nowMs = this.#clock.now()
    if (nowMs - this.#heardMs > gapMsMax) this.#hearingSinceMs = nowMs
    this.#heardMs = nowMs
    if (announcement.draining || !announcement.healthy) {
      this.#workers.delete(workerId)
      return
    }
    const models = announcement.models.map(({ id }) => id)
    this.#workers.set(workerId, { pool, heardMs: nowMs, models, tokensMax: announcement.tokensMax ?? null })
    for (const { id, contextTokens } of announcement.models) {
      const key = `${pool}\n${id}`
      if (nowMs - (this.#writtenMs.get(key) ?? 0) < upsertEveryMs) continue
      this.#pending.set(key, { pool, model: id, engine, contextTokens })
    }
  }

  /** Healthy workers of a pool heard of lately. */
  liveWorkers(pool: string): number {
    const sinceMs = this.#clock.now() - workerLivesMs
    for (const [id, worker] of this.#workers) if (worker.heardMs < sinceMs) this.#workers.delete(id)
    return [...this.#workers.values()].filter((worker) => worker.pool === pool).length
  }

  /** Tokens that the KV cache of an engine with this model holds, by what its workers say; the smallest of several. */
  cacheTokens(model: string): number {
    const told = [...this.#workers.values()].flatMap(({ models, tokensMax }) =>
      models.includes(model) && tokensMax !== null ? [tokensMax] : [],
    )
    return told.length > 0 ? Math.min(...told) : cacheTokensUnknown
  }

  /** True when announcements have come without a gap for so long that a pool not heard of has no healthy worker. */
  get hearsAll(): boolean {
    const nowMs = this.#clock.now()
    return nowMs - this.#heardMs <= gapMsMax && nowMs - this.#hearingSinceMs >= workerLivesMs
  }

  /** Writes what is new, each model of a pool every few seconds at most. Throws when the database cannot be reached; nothing is forgotten then. */
  async write(db: Queryable): Promise<void> {
    const rows = [...this.#pending].sort(([a], [b]) => (a < b ? -1 : 1))
    if (rows.length === 0) return
    await db.query(
      `INSERT INTO models (pool, model, engine, context_tokens)
       SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[])
       ON CONFLICT (pool, model) DO UPDATE
       SET engine = excluded.engine, context_tokens = excluded.context_tokens, last_seen_at = now()`,
      [
        rows.map(([, row]) => row.pool),
        rows.map(([, row]) => row.model),
        rows.map(([, row]) => row.engine),
        rows.map(([, row]) => row.contextTokens),
      ],
    )
    for (const [key] of rows) {
      this.#pending.delete(key)
      this.#writtenMs.set(key, this.#clock.now())
    }
  }
}
