import { z } from 'zod'
import type { Route } from '../../gateway-deps.ts'

const status = z.object({ status: z.string(), reason: z.string().optional() })

/** /healthz: the process lives. /readyz: it can serve, or what is wrong. /metrics: Prometheus text. No key needed. */
export const showHealth: Route = (app, { registry, trouble }) => {
  const tags = ['Operations']
  app.route({
    method: 'GET',
    url: '/healthz',
    schema: { tags, summary: 'Whether the process lives', response: { 200: status } },
    handler: async () => ({ status: 'ok' }),
  })
  app.route({
    method: 'GET',
    url: '/readyz',
    schema: { tags, summary: 'Whether it can serve', response: { 200: status, 503: status } },
    handler: async (_request, reply) => {
      const reason = await trouble()
      if (reason === undefined) return { status: 'ready' }
      return reply.status(503).send({ status: 'not ready', reason })
    },
  })
  app.route({
    method: 'GET',
    url: '/metrics',
    schema: { tags, summary: 'Metrics for Prometheus', produces: ['text/plain'] },
    handler: async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()),
  })
}
