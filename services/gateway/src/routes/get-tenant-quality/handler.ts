import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import type { Route } from '../../gateway-deps.ts'
import { tenantQualityObject, tenantQualitySchema } from '../../reviews/tenant-quality.ts'

/** GET /admin/tenants/{id}/quality. */
export const getTenantQuality: Route = (app, { config, db }) => {
  app.route({
    method: 'GET',
    url: '/admin/tenants/:id/quality',
    schema: {
      tags: ['Admin'],
      summary: 'How much of a tenant’s batch answers the judge model looks at',
      params: z.object({ id: z.string() }),
      response: { 200: tenantQualitySchema },
    },
    handler: async (request) => {
      const { id } = request.params
      await checkTenant(db, id)
      return tenantQualityObject(db, config, id)
    },
  })
}
