import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import type { Route } from '../../gateway-deps.ts'
import { retentionObject, retentionSchema } from '../../retention/retention-object.ts'

/** GET /admin/tenants/{id}/retention. */
export const getRetention: Route = (app, { config, db }) => {
  app.route({
    method: 'GET',
    url: '/admin/tenants/:id/retention',
    schema: {
      tags: ['Admin'],
      summary: 'How long what of a tenant is kept',
      params: z.object({ id: z.string() }),
      response: { 200: retentionSchema },
    },
    handler: async (request) => {
      const { id } = request.params
      await checkTenant(db, id)
      return retentionObject(db, config, id)
    },
  })
}
