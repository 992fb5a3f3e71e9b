import { endUserHash } from '@forebay/plan'
import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import { callerOf } from '../../auth/require-caller.ts'
import { askErasure } from '../../erasures/ask-erasure.ts'
import { erasureObject, erasureSchema } from '../../erasures/erasure-object.ts'
import type { Route } from '../../gateway-deps.ts'

/**
 * POST /admin/tenants/{id}/erasures: asks for the erasure of what was sent for one end user; the scheduler does it. Whom
 * is said in the body and not in the URL, which proxies write into their logs; only a hash of it is kept.
 */
export const eraseEndUser: Route = (app, { cacheRules, clock, db, logger }) => {
  app.route({
    method: 'POST',
    url: '/admin/tenants/:id/erasures',
    schema: {
      tags: ['Admin'],
      summary: 'Erase what was sent for one end user of a tenant',
      params: z.object({ id: z.string() }),
      body: z.strictObject({
        end_user: z.string().min(1).describe('as requests named them, in `safety_identifier` or `user`'),
      }),
      response: { 202: erasureSchema },
    },
    handler: async (request, reply) => {
      const { id: tenantId } = request.params
      const { keyId } = callerOf(request)
      await checkTenant(db, tenantId)
      const row = await db.tx(async (tx) => {
        const [tenant] = await tx.query<{ key: string }>(
          "SELECT encode(end_user_key, 'hex') AS key FROM tenants WHERE id = $1",
          [tenantId],
        )
        const target = endUserHash(tenant?.key ?? '', request.body.end_user)
        return askErasure(tx, { clock, tenantId, selector: 'end_user', target, keyId })
      })
      await cacheRules.readAnew()
      logger.info({ erasureId: row.id, tenantId, selector: 'end_user', keyId }, 'erasure asked for')
      reply.code(202)
      return erasureObject(row)
    },
  })
}
