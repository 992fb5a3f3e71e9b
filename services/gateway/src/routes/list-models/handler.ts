import { z } from 'zod'
import type { Route } from '../../gateway-deps.ts'
import { modelObject, modelSchema } from '../../live/model-object.ts'

/** GET /v1/models. */
export const listModels: Route = (app, { models }) => {
  app.route({
    method: 'GET',
    url: '/v1/models',
    schema: {
      tags: ['Models'],
      summary: 'List models',
      response: { 200: z.object({ object: z.literal('list'), data: z.array(modelSchema) }) },
    },
    handler: async () => ({ object: 'list' as const, data: (await models.list()).map(modelObject) }),
  })
}
