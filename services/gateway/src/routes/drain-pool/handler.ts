import { ForebayError } from '@forebay/kernel'
import { z } from 'zod'
import type { GatewayDeps, Route } from '../../gateway-deps.ts'
import { readScaling } from '../../pools/missing-workers.ts'
import { poolObject, poolSchema } from '../../pools/pool-object.ts'

/** POST /admin/pools/{name}/drain: nothing new goes to the pool, what waits there goes to others. Safe to repeat. */
export const drainPool: Route = (app, deps) => addRoute(app, deps, 'drain')

/** POST /admin/pools/{name}/undrain: the pool is used again. Safe to repeat. */
export const undrainPool: Route = (app, deps) => addRoute(app, deps, 'undrain')

function addRoute(app: Parameters<Route>[0], deps: GatewayDeps, verb: 'drain' | 'undrain'): void {
  const { db, logger, models, pools } = deps
  app.route({
    method: 'POST',
    url: `/admin/pools/:name/${verb}`,
    schema: {
      tags: ['Admin'],
      summary: verb === 'drain' ? 'Send nothing new to a pool, and what waits there elsewhere' : 'Use a pool again',
      params: z.object({ name: z.string() }),
      response: { 200: poolSchema },
    },
    handler: async (request) => {
      const { name } = request.params as { name: string }
      const find = async () => (await models.overview()).find((pool) => pool.name === name)
      if (!(await find())) {
        const text = `No pool is called '${name}'. GET /admin/pools lists them.`
        throw new ForebayError('not_found', text, { param: 'name' })
      }
      await db.query(
        `INSERT INTO pools (name, drained_at) VALUES ($1, CASE WHEN $2 THEN now() END)
         ON CONFLICT (name) DO UPDATE SET drained_at = CASE WHEN $2 THEN coalesce(pools.drained_at, now()) END`,
        [name, verb === 'drain'],
      )
      await db.query("SELECT pg_notify('forebay_batches', '')")
      logger.info({ pool: name, verb }, 'pool drained or used again')
      const pool = await find()
      if (!pool) throw new Error(`pool ${name} is gone`)
      return poolObject(pools, pool, (await readScaling(db)).get(name))
    },
  })
}
