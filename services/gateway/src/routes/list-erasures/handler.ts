import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import { type ErasureRow, erasureObject, erasureSchema } from '../../erasures/erasure-object.ts'
import type { Route } from '../../gateway-deps.ts'

/** GET /admin/tenants/{id}/erasures: the newest thousand. */
export const listErasures: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/admin/tenants/:id/erasures',
    schema: {
      tags: ['Admin'],
      summary: 'Erasures of a tenant, newest first',
      params: z.object({ id: z.string() }),
      response: { 200: z.object({ object: z.literal('list'), data: z.array(erasureSchema) }) },
    },
    handler: async (request) => {
      const { id } = request.params
      await checkTenant(db, id)
      const rows = await db.query<ErasureRow>(
        'SELECT * FROM erasures WHERE tenant_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1000',
        [id],
      )
      return { object: 'list' as const, data: rows.map(erasureObject) }
    },
  })
}
