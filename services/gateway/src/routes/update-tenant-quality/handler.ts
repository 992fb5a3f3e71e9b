import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import type { Route } from '../../gateway-deps.ts'
import { tenantQualityObject, tenantQualitySchema } from '../../reviews/tenant-quality.ts'

/** POST /admin/tenants/{id}/quality. Holds for the batches of the last day of which no sample was drawn yet, and for later ones. */
export const updateTenantQuality: Route = (app, { config, db }) => {
  app.route({
    method: 'POST',
    url: '/admin/tenants/:id/quality',
    schema: {
      tags: ['Admin'],
      summary: 'Set how much of a tenant’s batch answers the judge model looks at',
      params: z.object({ id: z.string() }),
      body: z.object({
        judge_share: z.number().min(0).max(1).nullable().describe('0: none; null: as FOREBAY_JUDGE_SHARE says'),
      }),
      response: { 200: tenantQualitySchema },
    },
    handler: async (request) => {
      const { id } = request.params
      const { judge_share: share } = request.body
      await checkTenant(db, id)
      if (share === null) await db.query('DELETE FROM tenant_quality WHERE tenant_id = $1', [id])
      else {
        await db.query(
          `INSERT INTO tenant_quality (tenant_id, judge_share) VALUES ($1, $2)
           ON CONFLICT (tenant_id) DO UPDATE SET judge_share = $2, updated_at = now()`,
          [id, share],
        )
      }
      return tenantQualityObject(db, config, id)
    },
  })
}
