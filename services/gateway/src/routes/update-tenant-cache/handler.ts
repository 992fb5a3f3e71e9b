import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import { tenantCacheSchema } from '../../cache/tenant-cache.ts'
import type { Route } from '../../gateway-deps.ts'

/** POST /admin/tenants/{id}/cache: what is not given stays as it is. Other gateways know within seconds. */
export const updateTenantCache: Route = (app, { cacheRules, db }) => {
  app.route({
    method: 'POST',
    url: '/admin/tenants/:id/cache',
    schema: {
      tags: ['Admin'],
      summary: 'Switch a tenant’s caches on or off',
      params: z.object({ id: z.string() }),
      body: z.object({ exact: z.boolean().optional() }),
      response: { 200: tenantCacheSchema },
    },
    handler: async (request) => {
      const { id } = request.params
      await checkTenant(db, id)
      await db.query(
        `INSERT INTO tenant_caches (tenant_id, exact) VALUES ($1, coalesce($2, true))
         ON CONFLICT (tenant_id) DO UPDATE SET exact = coalesce($2, tenant_caches.exact), updated_at = now()`,
        [id, request.body.exact ?? null],
      )
      await cacheRules.readAnew()
      return { object: 'tenant.cache' as const, tenant: id, exact: cacheRules.of(id).exact }
    },
  })
}
