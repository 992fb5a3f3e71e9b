import { ForebayError } from '@forebay/kernel'
import type { Queryable } from '@forebay/store'
import type { BatchRow } from './batch-object.ts'

/** A tenant's batch. Throws `not_found` when it has none by that id. */
export async function findBatch(
  db: Queryable,
  options: { tenantId: string; id: string; lock?: 'FOR UPDATE' /** What the client calls it. */; param?: string },
): Promise<BatchRow> {
  const rows = await db.query<BatchRow>(
    `SELECT * FROM batches WHERE id = $1 AND tenant_id = $2 ${options.lock ?? ''}`,
    [options.id, options.tenantId],
  )
  if (rows[0]) return rows[0]
  throw new ForebayError('not_found', `No batch found with id '${options.id}'.`, { param: options.param ?? 'id' })
}
