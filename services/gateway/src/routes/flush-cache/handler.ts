import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import type { Route } from '../../gateway-deps.ts'

/** POST /admin/cache/flush: no answer stored so far is served again, here at once and by every gateway within seconds. */
export const flushCache: Route = (app, { cacheRules, db, logger }) => {
  app.route({
    method: 'POST',
    url: '/admin/cache/flush',
    schema: {
      tags: ['Admin'],
      summary: 'Serve no cached answer again that is stored so far: of a tenant, of a model, or at all',
      body: z.object({
        tenant: z.string().nullish().describe('all tenants when not given'),
        model: z.string().min(1).max(512).nullish().describe('all models when not given'),
      }),
      response: {
        200: z.object({
          object: z.literal('cache.flush'),
          tenant: z.string().nullable(),
          model: z.string().nullable(),
        }),
      },
    },
    handler: async (request) => {
      const tenant = request.body.tenant ?? null
      const model = request.body.model ?? null
      if (tenant !== null) await checkTenant(db, tenant)
      await db.query('SELECT flush_cache($1, $2)', [tenant, model])
      await cacheRules.readAnew()
      logger.info({ tenantId: tenant, model }, 'cached answers flushed')
      return { object: 'cache.flush' as const, tenant, model }
    },
  })
}
