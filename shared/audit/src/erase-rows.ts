import type { Queryable, Row } from '@forebay/store'
import { commitmentSql } from './entries.ts'

/** Whose rows: of one batch, of one API key, or, with neither, all of the tenant. */
export interface ErasedRows {
  tenantId: string
  batchId?: string | undefined
  apiKeyId?: string | undefined
}

interface Page extends Row {
  emptied: number
  seen: number
  order: number
  id: string
}

const rowsPerStep = 5_000
const emptied = `UPDATE requests SET commitment = ${commitmentSql}, custom_id = NULL, body_hash = NULL, salt = NULL
  FROM page WHERE requests.born = page.born AND requests.id = page.id AND due RETURNING 1`

/**
 * Empties audit rows of what is a person's: custom id and body hash go, and with them the salt of the commitment to
 * them, which alone stays, so that the chain verifies as before and nothing can be guessed from it. Some thousands of
 * rows to a statement; safe to repeat. Answers how many rows were emptied.
 */
export async function eraseRows(db: Queryable, of: ErasedRows): Promise<number> {
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
               WHERE born = born_of($1) AND batch_id = $1 AND tenant_id = $2 AND line > $3 ORDER BY line LIMIT ${rowsPerStep}),
             emptied AS (${emptied}) ${summary}`,
            [of.batchId, of.tenantId, order],
          )
    total += page?.emptied ?? 0
    if (!page || page.seen < rowsPerStep) return total
    ;({ id, order } = page)
  }
}

const summary = `SELECT (SELECT count(*) FROM emptied)::int AS emptied, (SELECT count(*) FROM page)::int AS seen,
  (SELECT at FROM page ORDER BY at DESC, id DESC LIMIT 1) AS order,
  (SELECT id FROM page ORDER BY at DESC, id DESC LIMIT 1) AS id`
