import type { Lane } from '@forebay/contracts'
import type { Queryable, Row } from '@forebay/store'

/** The rest of a batch. */
export interface BatchWork extends Row {
  model: string | null
  residency: string | null
  lane: Lane
  /** Estimated tokens of its requests that have not ended; 1 for a batch that is not planned yet. */
  tokens: number
  deadlineMs: number
}

/** What is left of every open batch, by model: its chunks planned or released, less what of them is done. */
export function readBatchWork(db: Queryable): Promise<BatchWork[]> {
  return db.query<BatchWork>(
    `SELECT coalesce(c.model, b.model) AS model, b.residency, b.lane, extract(epoch FROM b.expires_at)::float8 * 1000 AS "deadlineMs",
       CASE WHEN b.status = 'validating' THEN 1 ELSE
         coalesce(sum(c.est_tokens * (1 - least(1, coalesce(p.done, 0)::float8 / c.entries))), 0) END::float8 AS tokens
     FROM batches b LEFT JOIN chunks c ON c.batch_id = b.id AND c.status <> 'done'
     LEFT JOIN chunk_progress p ON p.batch_id = c.batch_id AND p.chunk = c.index
     WHERE b.status IN ('validating', 'in_progress') AND b.closed_at IS NULL
     GROUP BY b.id, coalesce(c.model, b.model)`,
  )
}

/** Live requests of one model in one pool. */
export interface LiveWork extends Row {
  pool: string
  model: string
  /** What ended within the last minute: requests, and their tokens. */
  requests: number
  tokens: number
  /** Tokens a second of those that ended within the window asked for. */
  tokensPerSecond: number
  /** 99 of 100 had their first token after so long at the most. */
  ttftMs: number | null
}

/** The live requests of the last minute and of a window, by pool and model; answers that no engine computed left out. */
export function readLiveWork(db: Queryable, window: { sinceMs: number; untilMs: number }): Promise<LiveWork[]> {
  return db.query<LiveWork>(
    `WITH ended AS (
       SELECT pool, model, prompt_tokens + completion_tokens AS tokens, queued_ms + first_token_ms AS ttft_ms,
         committed_at > now() - interval '1 minute' AS lately,
         committed_at > to_timestamp($1::float8 / 1000) AND committed_at <= to_timestamp($2::float8 / 1000) AS sampled
       FROM requests
       WHERE committed_at > least(now() - interval '1 minute', to_timestamp($1::float8 / 1000)) AND born >= current_date - 1
         AND lane <> 'batch' AND batch_id IS NULL AND source = 'engine')
     SELECT pool, model, (count(*) FILTER (WHERE lately))::float8 AS requests,
       coalesce(sum(tokens) FILTER (WHERE lately), 0)::float8 AS tokens,
       coalesce(sum(tokens) FILTER (WHERE sampled), 0)::float8 * 1000 / ($2::float8 - $1::float8) AS "tokensPerSecond",
       (percentile_cont(0.99) WITHIN GROUP (ORDER BY ttft_ms) FILTER (WHERE lately))::float8 AS "ttftMs"
     FROM ended GROUP BY pool, model`,
    [window.sinceMs, window.untilMs],
  )
}

/** The pools of which any result was committed within the last seconds. */
export async function readCounted(db: Queryable): Promise<ReadonlySet<string>> {
  const rows = await db.query<{ pool: string } & Row>(
    `SELECT DISTINCT pool FROM requests WHERE committed_at > now() - interval '20 seconds' AND born >= current_date - 1`,
  )
  return new Set(rows.map(({ pool }) => pool))
}

/** The models that each pool's workers ever announced, and the pools that are drained. */
export async function readPools(
  db: Queryable,
): Promise<{ models: { pool: string; model: string }[]; drained: Set<string> }> {
  const models = await db.query<{ pool: string; model: string } & Row>('SELECT pool, model FROM models')
  const drained = await db.query<{ name: string } & Row>('SELECT name FROM pools WHERE drained_at IS NOT NULL')
  return { models, drained: new Set(drained.map(({ name }) => name)) }
}
