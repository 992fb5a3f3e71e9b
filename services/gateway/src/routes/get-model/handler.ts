import { ForebayError } from '@forebay/kernel'
import { z } from 'zod'
import type { Route } from '../../gateway-deps.ts'
import { modelObject, modelSchema } from '../../live/model-object.ts'

/** GET /v1/models/{id}; an id may hold slashes, escaped or not. */
export const getModel: Route = (app, { models }) => {
  app.route({
    method: 'GET',
    url: '/v1/models/*',
    schema: {
      tags: ['Models'],
      summary: 'Retrieve a model',
      params: z.object({ '*': z.string() }),
      response: { 200: modelSchema },
    },
    handler: async (request) => {
      const id = request.params['*']
      const model = (await models.list()).find((known) => known.id === id)
      if (model) return modelObject(model)
      throw new ForebayError('model_not_found', `The model '${id}' does not exist`, { param: 'model' })
    },
  })
}
