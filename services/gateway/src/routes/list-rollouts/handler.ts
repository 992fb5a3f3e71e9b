import { z } from 'zod'
import type { Route } from '../../gateway-deps.ts'
import { rolloutObject, rolloutSchema } from '../../rollouts/rollout-object.ts'
import { latestRollouts, movesOf } from '../../rollouts/rollout-rows.ts'

/** GET /admin/rollouts: the latest first. */
export const listRollouts: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/admin/rollouts',
    schema: {
      tags: ['Admin'],
      summary: 'List the rollouts of models, with what moved them',
      querystring: z.object({
        model: z.string().optional(),
        limit: z.coerce.number().int().min(1).max(100).default(20),
      }),
      response: { 200: z.object({ object: z.literal('list'), data: z.array(rolloutSchema) }) },
    },
    handler: async (request) => {
      const rows = await latestRollouts(db, request.query)
      const moves = await movesOf(
        db,
        rows.map(({ id }) => id),
      )
      return { object: 'list' as const, data: rows.map((row) => rolloutObject(row, moves)) }
    },
  })
}
