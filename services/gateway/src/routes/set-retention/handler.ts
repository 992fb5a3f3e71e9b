import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import type { Route } from '../../gateway-deps.ts'
import { retentionObject, retentionSchema } from '../../retention/retention-object.ts'

const days = (least: number) => z.number().int().min(least).max(36_500).nullable().optional()

/**
 * POST /admin/tenants/{id}/retention: what is not given stays as it is, null goes back to the default. It holds for
 * what is there already, too; cached answers that may be older than is now allowed are flushed.
 */
export const setRetention: Route = (app, { cacheRules, config, db, logger }) => {
  app.route({
    method: 'POST',
    url: '/admin/tenants/:id/retention',
    schema: {
      tags: ['Admin'],
      summary: 'Set how long what of a tenant is kept',
      params: z.object({ id: z.string() }),
      body: z.strictObject({
        input_days: days(0).describe('0: no longer than there is to use them'),
        output_days: days(0).describe('0: no longer than there is to download them'),
        audit_days: days(1),
        cache_seconds: z.number().int().min(0).max(86_400).nullable().optional().describe('0: no answer is cached'),
        keep_live: z
          .boolean()
          .optional()
          .describe('true: bodies and answers of live requests are kept, for as long as inputs and outputs'),
        zero: z.boolean().optional().describe('true: as 0 for inputs, outputs and answers, whatever else is set'),
      }),
      response: { 200: retentionSchema },
    },
    handler: async (request) => {
      const { id } = request.params
      await checkTenant(db, id)
      await db.tx(async (tx) => {
        const read = () => retentionObject(tx, config, id)
        await tx.query('INSERT INTO tenant_retention (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING', [id])
        const [stored] = await tx.query<{ keep_live: boolean }>(
          'SELECT keep_live FROM tenant_retention WHERE tenant_id = $1 FOR UPDATE',
          [id],
        )
        const before = await read()
        const wish = { ...before.own, zero: before.zero, keep_live: stored?.keep_live === true, ...request.body }
        await tx.query(
          `UPDATE tenant_retention SET input_days = $2, output_days = $3, audit_days = $4, cache_seconds = $5, zero = $6,
             keep_live = $7, updated_at = now(),
             live_requests_from = CASE WHEN $7 THEN coalesce(live_requests_from, (now() AT TIME ZONE 'UTC')::date - 1) ELSE live_requests_from END,
             live_answers_from = CASE WHEN $7 THEN coalesce(live_answers_from, (now() AT TIME ZONE 'UTC')::date - 1) ELSE live_answers_from END
           WHERE tenant_id = $1`,
          [id, wish.input_days, wish.output_days, wish.audit_days, wish.cache_seconds, wish.zero, wish.keep_live],
        )
        const after = await read()
        if (after.in_force.cache_seconds < before.in_force.cache_seconds) {
          await tx.query('SELECT flush_cache($1, NULL)', [id])
        }
      })
      await cacheRules.readAnew()
      const changed = await retentionObject(db, config, id)
      logger.info({ tenantId: id, ...changed.in_force, zero: changed.zero }, 'retention of a tenant set')
      return changed
    },
  })
}
