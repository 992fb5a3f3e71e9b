import { z } from 'zod'
import { type TenantRow, tenantObject, tenantSchema } from '../../admin/tenant-object.ts'
import type { Route } from '../../gateway-deps.ts'

/** GET /admin/tenants. */
export const listTenants: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/admin/tenants',
    schema: {
      tags: ['Admin'],
      summary: 'List tenants',
      response: { 200: z.object({ object: z.literal('list'), data: z.array(tenantSchema) }) },
    },
    handler: async () => {
      const rows = await db.query<TenantRow>('SELECT * FROM tenants ORDER BY id')
      return { object: 'list' as const, data: rows.map(tenantObject) }
    },
  })
}
