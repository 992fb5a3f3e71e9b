import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import { tenantCacheObject, tenantCacheSchema } from '../../cache/tenant-cache.ts'
import type { Route } from '../../gateway-deps.ts'

/** GET /admin/tenants/{id}/cache. */
export const getTenantCache: Route = (app, { cacheRules, db }) => {
  app.route({
    method: 'GET',
    url: '/admin/tenants/:id/cache',
    schema: {
      tags: ['Admin'],
      summary: 'What a tenant wants of the caches',
      params: z.object({ id: z.string() }),
      response: { 200: tenantCacheSchema },
    },
    handler: async (request) => {
      const { id } = request.params
      await checkTenant(db, id)
      return tenantCacheObject(db, cacheRules, id)
    },
  })
}
