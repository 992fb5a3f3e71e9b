import type { Queryable, Row } from '@forebay/store'
import { commitmentSql } from './entries.ts'

/** Whose rows: of one batch or some of its lines, of one API key, of one end user, or, with none of these, all of the tenant. */
export interface ErasedRows {
  tenantId: string
  batchId?: string | undefined
  /** Of the batch, only these. */
  lines?: readonly number[] | undefined
  apiKeyId?: string | undefined
  /** The hash, in hex, that stands for an end user; rows whose ids were made later (epoch ms) stay. */
  endUser?: { hash: string; beforeMs: number } | undefined
}

/** Holds for a row of `requests` that stands for end user $2 of tenant $1 and whose id was made by $3 (epoch ms). */
export const ofEndUserSql = `tenant_id = $1 AND end_user = decode($2, 'hex')
  AND substring(id FROM '_(0[0-9a-f]{11})') <= lpad(to_hex($3::bigint), 12, '0') COLLATE "C"`

interface Page extends Row {
  emptied: number
  seen: number
  order: number
  id: string
}

const rowsPerStep = 5_000
const emptied = `UPDATE requests SET commitment = ${commitmentSql}, custom_id = NULL, body_hash = NULL,
  end_user = NULL, salt = NULL
  FROM page WHERE requests.born = page.born AND requests.id = page.id AND due RETURNING 1`

/**
 * Empties audit rows of what is a person's: custom id and body hash go, and with them the salt of the commitment to
 * them, which alone stays, so that the chain verifies as before and nothing can be guessed from it. Some thousands of
 * rows to a statement; safe to repeat. Answers how many rows were emptied.
 */
export async function eraseRows(db: Queryable, of: ErasedRows): Promise<number> {
  if (of.endUser) return eraseRowsOfEndUser(db, of.tenantId, of.endUser)
  let [total, order, id] = [0, -1, '']
  for (;;) {
    const [page] =
      of.batchId === undefined
        ? await db.query<Page>(
            `WITH page AS (
               SELECT born, id, commit_order AS at, salt IS NOT NULL AND ($2::text IS NULL OR api_key_id = $2) AS due
               FROM requests WHERE tenant_id = $1 AND (commit_order, id) > ($3, $4::text)
               ORDER BY commit_order, id LIMIT ${rowsPerStep}),
             emptied AS (${emptied}) ${summary}`,
            [of.tenantId, of.apiKeyId ?? null, order, id],
          )
        : await db.query<Page>(
            `WITH page AS (
               SELECT born, id, line AS at, salt IS NOT NULL AS due FROM requests
               WHERE born = born_of($1) AND batch_id = $1 AND tenant_id = $2 AND line > $3
                 AND ($4::int[] IS NULL OR line = ANY($4)) ORDER BY line LIMIT ${rowsPerStep}),
             emptied AS (${emptied}) ${summary}`,
            [of.batchId, of.tenantId, order, of.lines ?? null],
          )
    total += page?.emptied ?? 0
    if (!page || page.seen < rowsPerStep) return total
    ;({ id, order } = page)
  }
}

/** An emptied row stands for nobody, and is not found again. */
async function eraseRowsOfEndUser(
  db: Queryable,
  tenantId: string,
  { beforeMs, hash }: { hash: string; beforeMs: number },
): Promise<number> {
  for (let total = 0; ; ) {
    const rows = await db.query(
      `WITH page AS (SELECT born, id, true AS due FROM requests WHERE ${ofEndUserSql} LIMIT ${rowsPerStep}) ${emptied}`,
      [tenantId, hash, Math.floor(beforeMs)],
    )
    total += rows.length
    if (rows.length < rowsPerStep) return total
  }
}

const summary = `SELECT (SELECT count(*) FROM emptied)::int AS emptied, (SELECT count(*) FROM page)::int AS seen,
  (SELECT at FROM page ORDER BY at DESC, id DESC LIMIT 1) AS order,
  (SELECT id FROM page ORDER BY at DESC, id DESC LIMIT 1) AS id`
