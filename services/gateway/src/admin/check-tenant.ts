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

/** Throws `not_found` for a project that the tenant does not have, naming the way out. */
export async function checkProject(db: Queryable, project: { tenantId: string; id: string }): Promise<void> {
  const { id, tenantId } = project
  const rows = await db.query('SELECT 1 FROM projects WHERE tenant_id = $1 AND id = $2', [tenantId, id])
  if (rows.length > 0) return
  const text = `The tenant '${tenantId}' has no project '${id}'. Create it with POST /admin/projects.`
  throw new ForebayError('not_found', text, { param: 'project' })
}
