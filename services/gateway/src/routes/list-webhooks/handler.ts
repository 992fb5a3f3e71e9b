import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import type { Route } from '../../gateway-deps.ts'
import { type WebhookRow, webhookObject, webhookSchema } from '../../webhooks/webhook-object.ts'

/** GET /v1/webhooks. */
export const listWebhooks: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/v1/webhooks',
    schema: {
      tags: ['Webhooks'],
      summary: 'List webhook endpoints',
      response: { 200: z.object({ object: z.literal('list'), data: z.array(webhookSchema) }) },
    },
    handler: async (request) => {
      const rows = await db.query<WebhookRow>(
        'SELECT * FROM webhook_endpoints WHERE tenant_id = $1 ORDER BY created_at DESC, id DESC',
        [callerOf(request).tenantId],
      )
      return { object: 'list' as const, data: rows.map(webhookObject) }
    },
  })
}
