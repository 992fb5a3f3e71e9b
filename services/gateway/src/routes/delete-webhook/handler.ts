import { ForebayError } from '@forebay/kernel'
import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import type { Route } from '../../gateway-deps.ts'

/** DELETE /v1/webhooks/{id}: nothing more is delivered to it. */
export const deleteWebhook: Route = (app, { db }) => {
  app.route({
    method: 'DELETE',
    url: '/v1/webhooks/:id',
    schema: {
      tags: ['Webhooks'],
      summary: 'Remove a webhook endpoint',
      params: z.object({ id: z.string() }),
      response: { 200: z.object({ id: z.string(), object: z.literal('webhook_endpoint'), deleted: z.literal(true) }) },
    },
    handler: async (request) => {
      const { id } = request.params
      const rows = await db.query('DELETE FROM webhook_endpoints WHERE id = $1 AND tenant_id = $2 RETURNING id', [
        id,
        callerOf(request).tenantId,
      ])
      if (rows.length === 0) {
        throw new ForebayError('not_found', `No webhook endpoint found with id '${id}'.`, { param: 'id' })
      }
      return { id, object: 'webhook_endpoint' as const, deleted: true as const }
    },
  })
}
