import { randomBytes } from 'node:crypto'
import { newId } from '@forebay/kernel'
import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import type { Route } from '../../gateway-deps.ts'
import { checkWebhookUrl } from '../../webhooks/check-url.ts'
import { type WebhookRow, webhookEvents, webhookObject, webhookSchema } from '../../webhooks/webhook-object.ts'

/** POST /v1/webhooks: answers the signing secret, once. */
export const createWebhook: Route = (app, { clock, config, db }) => {
  app.route({
    method: 'POST',
    url: '/v1/webhooks',
    schema: {
      tags: ['Webhooks'],
      summary: 'Add a webhook endpoint',
      body: z.object({
        url: z.string().max(2_048),
        events: z.array(z.enum(webhookEvents)).max(16).default([]).describe('Empty: all'),
      }),
      response: { 200: webhookSchema.extend({ secret: z.string() }).meta({ id: 'NewWebhookEndpoint' }) },
    },
    handler: async (request) => {
      const { url, events } = request.body
      checkWebhookUrl(url, config.webhookAllow ?? [])
      const secret = `whsec_${randomBytes(32).toString('base64')}`
      const [row] = await db.query<WebhookRow>(
        `INSERT INTO webhook_endpoints (id, tenant_id, url, secret, events) VALUES ($1, $2, $3, $4, $5) RETURNING *`,
        [newId('we_', clock.now()), callerOf(request).tenantId, url, secret, [...new Set(events)]],
      )
      if (!row) throw new Error('the endpoint was not inserted')
      return { ...webhookObject(row), secret }
    },
  })
}
