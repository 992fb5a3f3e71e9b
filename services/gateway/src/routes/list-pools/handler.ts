import { z } from 'zod'
import type { Route } from '../../gateway-deps.ts'
import { readScaling } from '../../pools/missing-workers.ts'
import { poolObject, poolSchema } from '../../pools/pool-object.ts'

/** GET /admin/pools. */
export const listPools: Route = (app, { db, models, pools }) => {
  app.route({
    method: 'GET',
    url: '/admin/pools',
    schema: {
      tags: ['Admin'],
      summary: 'List pools, their queues and workers',
      response: { 200: z.object({ object: z.literal('list'), data: z.array(poolSchema) }) },
    },
    handler: async () => {
      const [known, scaled] = [await models.overview(), await readScaling(db)]
      return {
        object: 'list' as const,
        data: await Promise.all(known.map((pool) => poolObject(pools, pool, scaled.get(pool.name)))),
      }
    },
  })
}
