import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import { tenantCacheObject, tenantCacheSchema } from '../../cache/tenant-cache.ts'
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
      body: z.object({
        exact: z.boolean().optional(),
        semantic: z.boolean().optional().describe('true also lets one that stopped itself measure anew'),
      }),
      response: { 200: tenantCacheSchema },
    },
    handler: async (request) => {
      const { id } = request.params
      const { exact = null, semantic = null } = request.body
      await checkTenant(db, id)
      await db.query(
        `INSERT INTO tenant_caches (tenant_id, exact, semantic) VALUES ($1, coalesce($2, true), coalesce($3, false))
         ON CONFLICT (tenant_id) DO UPDATE SET exact = coalesce($2, tenant_caches.exact),
           semantic = coalesce($3, tenant_caches.semantic), updated_at = now()`,
        [id, exact, semantic],
      )
      if (semantic === true) {
        await db.query(
          `UPDATE semantic_trust SET state = 'shadow', samples = 0, errors = 0, updated_at = now()
           WHERE tenant_id = $1 AND state = 'stopped'`,
          [id],
        )
      }
      return tenantCacheObject(db, cacheRules, id)
    },
  })
}
