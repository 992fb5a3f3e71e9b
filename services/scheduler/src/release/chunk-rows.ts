import type { Queryable, Row } from '@forebay/store'
import { epochMs } from '../batch-row.ts'
import type { OutChunk } from './judge-chunk.ts'
import type { ContinuingChunk } from './prefer-pool.ts'

/** A released chunk as stored. */
export interface OutChunkRow extends Row, OutChunk {
  batchId: string
  index: number
  estTokens: number
  /** The model that answers, where its batch names an alias. */
  model: string | null
  /** Where it went. */
  pool: string
}

/** A chunk to send: released in this attempt. */
export interface ReleasedChunk extends Row {
  batchId: string
  index: number
  firstEntry: number
  entries: number
  estTokens: number
  attempt: number
  model: string | null
  pool: string
}

interface Pairs {
  batchId: string
  index: number
}

/** A chunk's name within this process. */
export const chunkKey = (chunk: Pairs) => `${chunk.batchId}.${chunk.index}`

const pairs = (chunks: readonly Pairs[]) => [chunks.map((c) => c.batchId), chunks.map((c) => c.index)]

/** Every chunk released and not done, of batches that are not closed. */
export async function outChunks(db: Queryable): Promise<OutChunkRow[]> {
  return db.query<OutChunkRow>(
    `SELECT c.batch_id AS "batchId", c.index, c.entries, c.est_tokens AS "estTokens", c.attempt, c.model,
       coalesce(c.pool, '') AS pool, ${epochMs('c.released_at')} AS "releasedAtMs", coalesce(p.done, 0) AS done,
       ${epochMs('p.last_seen_at')} AS "lastSeenAtMs", coalesce(p.returned_attempt, 0) AS "returnedAttempt"
     FROM batches b JOIN chunks c ON c.batch_id = b.id AND c.status = 'released'
     LEFT JOIN chunk_progress p ON p.batch_id = c.batch_id AND p.chunk = c.index
     WHERE b.status IN ('in_progress', 'cancelling') AND b.closed_at IS NULL`,
  )
}

/** A chunk that may be released. */
export interface PlannedChunk extends Row, ContinuingChunk {
  batchId: string
  estTokens: number
  attempt: number
  model: string | null
}

/** The next planned chunks, at most `limit` of each batch and model (null: the batch's own), each with the pool that the chunk before it went to. */
export async function plannedChunks(
  db: Queryable,
  wanted: readonly { batchId: string; model: string | null }[],
  limit: number,
): Promise<PlannedChunk[]> {
  return db.query(
    `SELECT c.batch_id AS "batchId", c.index, c.est_tokens AS "estTokens", c.attempt, c.model, c.continues, before.pool
     FROM unnest($1::text[], $2::text[]) AS b (id, model), LATERAL (
       SELECT * FROM chunks WHERE batch_id = b.id AND status = 'planned' AND model IS NOT DISTINCT FROM b.model
       ORDER BY index LIMIT $3) AS c
     LEFT JOIN chunks before ON c.continues AND before.batch_id = c.batch_id AND before.index = c.index - 1
       AND before.status <> 'planned'
     ORDER BY c.batch_id, c.index`,
    [wanted.map(({ batchId }) => batchId), wanted.map(({ model }) => model), limit],
  )
}

/** Of these chunks, those whose requests all have an audit row: done, whatever their progress row says. */
export async function finishedChunks(db: Queryable, chunks: readonly Pairs[]): Promise<Pairs[]> {
  return db.query<Pairs & Row>(
    `SELECT c.batch_id AS "batchId", c.index FROM unnest($1::text[], $2::int[]) AS t (batch_id, index)
     JOIN chunks c ON c.batch_id = t.batch_id AND c.index = t.index
     WHERE c.entries <= (SELECT count(*) FROM requests r
       WHERE r.born = born_of(c.batch_id) AND r.batch_id = c.batch_id AND r.chunk = c.index)`,
    pairs(chunks),
  )
}

/** Marks chunks done, whatever they were. */
export async function markDone(db: Queryable, chunks: readonly Pairs[]): Promise<void> {
  await db.query(
    `UPDATE chunks c SET status = 'done' FROM unnest($1::text[], $2::int[]) AS t (batch_id, index)
     WHERE c.batch_id = t.batch_id AND c.index = t.index`,
    pairs(chunks),
  )
}

/**
 * Moves chunks into their next attempt, each in its pool. The jobs are sent after the commit: a job without its attempt on
 * record could run twice. `staged`: a copy of the lines will be in the pool's store, to be deleted some day.
 */
export async function markReleased(
  db: Queryable,
  chunks: readonly (Pairs & { pool: string; staged: boolean; route: string })[],
): Promise<ReleasedChunk[]> {
  return db.query<ReleasedChunk>(
    `UPDATE chunks c SET status = 'released', attempt = c.attempt + 1, released_at = now(), pool = t.pool,
       route_reason = t.route,
       staged_in = CASE WHEN t.staged THEN array_append(array_remove(c.staged_in, t.pool), t.pool) ELSE c.staged_in END
     FROM unnest($1::text[], $2::int[], $3::text[], $4::bool[], $5::text[])
       AS t (batch_id, index, pool, staged, route)
     WHERE c.batch_id = t.batch_id AND c.index = t.index AND c.status <> 'done'
     RETURNING c.batch_id AS "batchId", c.index, c.first_entry AS "firstEntry", c.entries,
       c.est_tokens AS "estTokens", c.attempt, c.model, c.pool`,
    [...pairs(chunks), chunks.map((c) => c.pool), chunks.map((c) => c.staged), chunks.map((c) => c.route)],
  )
}

/** Takes back releases: their jobs did not reach the broker, or nobody is there to run them. A later attempt stays as it is. */
export async function markPlanned(db: Queryable, chunks: readonly (Pairs & { attempt: number })[]): Promise<void> {
  await db.query(
    `UPDATE chunks c SET status = 'planned' FROM unnest($1::text[], $2::int[], $3::int[]) AS t (batch_id, index, attempt)
     WHERE c.batch_id = t.batch_id AND c.index = t.index AND c.attempt = t.attempt AND c.status = 'released'`,
    [...pairs(chunks), chunks.map((c) => c.attempt)],
  )
}

/** The lines of a chunk that have an audit row. */
export async function finishedLines(db: Queryable, chunk: Pairs): Promise<Set<number>> {
  const rows = await db.query<{ line: number }>(
    'SELECT line FROM requests WHERE born = born_of($1) AND batch_id = $1 AND chunk = $2',
    [chunk.batchId, chunk.index],
  )
  return new Set(rows.map((row) => row.line))
}
