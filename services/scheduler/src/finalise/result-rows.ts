import type { Queryable, Row } from '@forebay/store'

const pageRows = 2000

/** How a line ended, and where its bytes lie; no part when there are none. */
export interface ResultRow extends Row {
  line: number
  customId: string | null
  outcome: 'succeeded' | 'failed' | 'cancelled'
  errorCode: string | null
  pool: string
  partKey: string | null
  partOffset: number | null
  partBytes: number | null
}

/** A batch's audit rows in line order, read in pages. */
export async function* resultRows(db: Queryable, batchId: string): AsyncGenerator<ResultRow> {
  let after = 0
  for (;;) {
    const rows = await db.query<ResultRow>(
      `SELECT line, custom_id AS "customId", outcome, error_code AS "errorCode", pool, part_key AS "partKey",
         part_offset AS "partOffset", part_bytes AS "partBytes"
       FROM requests WHERE born = born_of($1) AND batch_id = $1 AND line > $2 ORDER BY line LIMIT ${pageRows}`,
      [batchId, after],
    )
    yield* rows
    const last = rows.at(-1)
    if (!last || rows.length < pageRows) return
    after = last.line
  }
}
