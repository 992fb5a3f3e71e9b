import type { ScalingDecision } from '@forebay/scaling'
import type { Database, Row } from '@forebay/store'

/** What a pool should have, as last known. */
export interface Standing {
  readonly pool: string
  readonly desired: number
  readonly ready: number
  readonly outstandingTokens: number
  readonly reason: string
  readonly decidedAtMs: number
}

const keptChanges = 100

/** The latest decision of every pool: kept in memory for those who ask, and in the database for other replicas and the next start. */
export class DecisionBook {
  readonly #db: Database
  readonly #latest = new Map<string, Standing>()
  readonly #listeners = new Set<() => void>()

  constructor(options: { db: Database }) {
    this.#db = options.db
  }

  get(pool: string): Standing | undefined {
    return this.#latest.get(pool)
  }

  all(): readonly Standing[] {
    return [...this.#latest.values()]
  }

  /** Calls back after every round; the returned function ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Reads what was decided, by whichever replica. Throws while the database cannot be reached; what was known stays. */
  async read(): Promise<readonly Standing[]> {
    const rows = await this.#db.query<Standing & Row>(
      `SELECT pool, desired, ready, outstanding_tokens AS "outstandingTokens", reason,
         extract(epoch FROM decided_at)::float8 * 1000 AS "decidedAtMs" FROM scaling`,
    )
    for (const row of rows) this.#latest.set(row.pool, row)
    this.#tell()
    return rows
  }

  /** Takes a round of decisions; they count at once, whether they can be written or not. */
  async write(decisions: readonly (ScalingDecision & { before: number })[]): Promise<void> {
    for (const each of decisions) {
      const { atMs, desired, outstandingTokens, pool, ready, reason } = each
      this.#latest.set(pool, { pool, desired, ready, outstandingTokens, reason, decidedAtMs: atMs })
    }
    this.#tell()
    await this.#db.query(
      `INSERT INTO scaling (pool, ready, warming, desired, wanted, reason, stuck, outstanding_tokens, live_tokens_per_second)
       SELECT * FROM unnest($1::text[], $2::int[], $3::int[], $4::int[], $5::int[], $6::text[], $7::bool[], $8::float8[], $9::float8[])
       ON CONFLICT (pool) DO UPDATE SET decided_at = now(), ready = excluded.ready, warming = excluded.warming,
         desired = excluded.desired, wanted = excluded.wanted, reason = excluded.reason, stuck = excluded.stuck,
         outstanding_tokens = excluded.outstanding_tokens, live_tokens_per_second = excluded.live_tokens_per_second`,
      [
        decisions.map((each) => each.pool),
        decisions.map((each) => each.ready),
        decisions.map((each) => Math.max(0, each.desired - each.ready)),
        decisions.map((each) => each.desired),
        decisions.map((each) => each.wanted),
        decisions.map((each) => each.reason),
        decisions.map((each) => each.stuck),
        decisions.map((each) => each.outstandingTokens),
        decisions.map((each) => each.liveTokensPerSecond),
      ],
    )
    for (const { before, desired, pool, reason } of decisions) {
      if (before === desired) continue
      await this.#db.query('INSERT INTO scaling_decisions (pool, before, desired, reason) VALUES ($1, $2, $3, $4)', [
        ...[pool, before, desired, reason],
      ])
      await this.#db.query(
        `DELETE FROM scaling_decisions WHERE pool = $1 AND id <= (
           SELECT id FROM scaling_decisions WHERE pool = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)`,
        [pool, keptChanges],
      )
    }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}
