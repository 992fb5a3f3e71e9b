import { ForebayError } from '@forebay/kernel'
import type { Queryable } from '@forebay/store'

/** Throws `not_found` for a tenant that does not exist, naming the way out. */
export async function checkTenant(db: Queryable, id: string): Promise<void> {
  const rows = await db.query('SELECT 1 FROM tenants WHERE id = $1', [id])
  if (rows.length > 0) return
  throw new ForebayError('not_found', `No tenant found with id '${id}'. Create it with POST /admin/tenants.`, {
    param: 'tenant',
  })
}
