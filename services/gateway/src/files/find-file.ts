import { ForebayError } from '@forebay/kernel'
import type { Queryable } from '@forebay/store'
import type { FileRow } from './file-object.ts'

/** SQL for a file that can still be seen. */
export const visibleFile = 'deleted_at IS NULL AND (expires_at IS NULL OR expires_at > now())'

/** A tenant's file. Throws `not_found` when it has none by that id, or deleted it, or it expired. */
export async function findFile(
  db: Queryable,
  options: { tenantId: string; id: string; lock?: 'FOR UPDATE' | 'FOR SHARE' },
): Promise<FileRow> {
  const rows = await db.query<FileRow>(
    `SELECT * FROM files WHERE id = $1 AND tenant_id = $2 AND ${visibleFile} ${options.lock ?? ''}`,
    [options.id, options.tenantId],
  )
  if (rows[0]) return rows[0]
  throw new ForebayError('not_found', `No such File object: ${options.id}`, { param: 'id' })
}
