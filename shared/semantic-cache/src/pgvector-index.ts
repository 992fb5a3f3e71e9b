import type { Answer } from '@forebay/answer-cache'
import { describeError, type Logger } from '@forebay/kernel'
import type { Database, Queryable, Row } from '@forebay/store'
import type { AnswerIndex } from './answer-index.ts'

// Any constant will do: it keeps two processes from making the table at once.
const lockKey = 7_074_610_432
/** HNSW indexes no more dimensions than this; beyond it the rows of a hard key are compared one by one. */
const indexedDimensionsMax = 2_000
/** Rows of a hard key that are compared one by one rather than looked up. */
const comparedMaxDefault = 2_000
/** How many of the nearest rows, of all hard keys, a lookup finds. */
const foundMax = 200

/**
 * An index in Postgres with pgvector, which all gateways share. Undefined when the server does not have the extension
 * or does not let us use it. The extension, the table and an HNSW index for these dimensions are made when missing.
 *
 * HNSW knows nothing of hard keys: the nearest rows that it finds may all have others. So the rows of a hard key with few
 * are compared one by one; of one with many the index is asked, and where that found too few of them, they are compared, too.
 */
export async function openPgvectorIndex(options: {
  db: Pick<Database, 'query' | 'tx'>
  logger: Logger
  dimensions: number
  ttlMs: number
  comparedMax?: number
}): Promise<AnswerIndex | undefined> {
  const { comparedMax = comparedMaxDefault, db, dimensions, logger, ttlMs } = options
  try {
    await db.tx((tx) => prepare(tx, dimensions))
  } catch (err) {
    logger.info({ reason: describeError(err) }, 'no pgvector: similar questions are looked for in this process')
    return undefined
  }
  const cast = `vector(${dimensions})`
  const young = `stored_at > now() - $3::float8 * interval '1 millisecond' AND (expires_at IS NULL OR expires_at > now())`
  const distance = `embedding::${cast} <=> $2::${cast}`
  // The index is of the distance alone: what is added to it keeps Postgres from using it.
  const sql = (order: string) => `SELECT question, answer, 1 - (${distance}) AS similarity FROM semantic_answers
    WHERE hard_key = $1 AND dimensions = ${dimensions} AND ${young} ORDER BY ${order} LIMIT $4`
  const [compared, lookedUp] = [sql(`(${distance}) + 0`), sql(distance)]
  type Found = { question: string; answer: Answer; similarity: number } & Row
  return {
    nearest: ({ hardKey, vector, count }) =>
      db.tx(async (tx) => {
        const values = [hardKey, textOf(vector), ttlMs, count]
        const [key] = await tx.query<Row & { rows: number }>(countAndSet, [hardKey, comparedMax + 1, String(foundMax)])
        const found = (key?.rows ?? 0) > comparedMax ? await tx.query<Found>(lookedUp, values) : []
        const rows = found.length < count ? await tx.query<Found>(compared, values) : found
        return rows.map(({ question, answer, similarity }) => ({ question, answer, similarity }))
      }),
    add: async ({ tenantId, hardKey, question, vector, answer, ttlMs: entryTtlMs = ttlMs }) => {
      if (vector.length !== dimensions) return
      await db.query(
        `INSERT INTO semantic_answers (id, tenant_id, hard_key, question, answer, embedding, dimensions, stored_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6::vector, $7, to_timestamp($8::float8 / 1000),
           to_timestamp(($8::float8 + $9::float8) / 1000)) ON CONFLICT DO NOTHING`,
        [
          ...[answer.requestId, tenantId, hardKey, question, JSON.stringify(answer)],
          ...[textOf(vector), dimensions, answer.storedAtMs, Math.min(ttlMs, entryTtlMs)],
        ],
      )
    },
    eraseTenant: async (tenantId) => {
      await db.query('DELETE FROM semantic_answers WHERE tenant_id = $1', [tenantId])
    },
    expire: async () => {
      await db.query(
        `DELETE FROM semantic_answers
         WHERE stored_at <= now() - $1::float8 * interval '1 millisecond' OR expires_at <= now()`,
        [ttlMs],
      )
    },
    stop: async () => {},
  }
}

/** How many rows a hard key has, as far as it matters, and how far a lookup of this transaction goes. */
const countAndSet = `SELECT count(*)::int AS rows, set_config('hnsw.ef_search', $3, true) AS set
  FROM (SELECT FROM semantic_answers WHERE hard_key = $1 LIMIT $2) AS first_rows`

/** Deletes a tenant's answers from the database, also while no index is open; nothing when there never was one. */
export async function eraseStoredTenant(db: Queryable, tenantId: string): Promise<void> {
  const [table] = await db.query<{ name: string | null }>("SELECT to_regclass('semantic_answers')::text AS name")
  if (table?.name != null) await db.query('DELETE FROM semantic_answers WHERE tenant_id = $1', [tenantId])
}

async function prepare(tx: Queryable, dimensions: number): Promise<void> {
  await tx.query('SELECT pg_advisory_xact_lock($1)', [lockKey])
  await tx.query('CREATE EXTENSION IF NOT EXISTS vector')
  await tx.query(`CREATE TABLE IF NOT EXISTS semantic_answers (
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    hard_key text NOT NULL,
    question text NOT NULL,
    answer jsonb NOT NULL,
    embedding vector NOT NULL,
    dimensions integer NOT NULL,
    stored_at timestamptz NOT NULL)`)
  await tx.query('ALTER TABLE semantic_answers ADD COLUMN IF NOT EXISTS expires_at timestamptz')
  await tx.query('CREATE INDEX IF NOT EXISTS semantic_answers_by_tenant ON semantic_answers (tenant_id)')
  await tx.query('CREATE INDEX IF NOT EXISTS semantic_answers_by_key ON semantic_answers (hard_key)')
  await tx.query('CREATE INDEX IF NOT EXISTS semantic_answers_by_age ON semantic_answers (stored_at)')
  if (dimensions > indexedDimensionsMax) return
  await tx.query(
    `CREATE INDEX IF NOT EXISTS semantic_answers_near_${dimensions} ON semantic_answers
     USING hnsw ((embedding::vector(${dimensions})) vector_cosine_ops) WHERE dimensions = ${dimensions}`,
  )
}

function textOf(vector: Float32Array): string {
  return `[${vector.join(',')}]`
}
