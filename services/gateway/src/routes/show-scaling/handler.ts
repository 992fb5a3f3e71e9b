import type { Row } from '@forebay/store'
import { z } from 'zod'
import type { Route } from '../../gateway-deps.ts'

const count = z.number().int()
const scalingSchema = z
  .object({
    pool: z.string(),
    object: z.literal('scaling'),
    ready: count.describe('Workers that take work'),
    warming: count.describe('Workers asked for that do not work yet'),
    desired: count,
    wanted: count.describe('What the load alone asks for, before limits of speed and size'),
    reason: z.string(),
    stuck: z.boolean().describe('Workers asked for long ago do not come'),
    outstanding_tokens: z.number(),
    live_tokens_per_second: z.number(),
    decided_at: count,
    age_seconds: count.describe('How old the decision is: workers stay as they are while no new one is made'),
    changes: z
      .array(z.object({ at: count, before: count, desired: count, reason: z.string() }))
      .describe('The latest decisions that changed the number, the newest first'),
  })
  .meta({ id: 'Scaling' })

type Scaling = Omit<z.infer<typeof scalingSchema>, 'object' | 'changes'>

const changesShown = 10

/** GET /admin/scaling. */
export const showScaling: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/admin/scaling',
    schema: {
      tags: ['Admin'],
      summary: 'Show how many workers each pool should have, and why',
      response: { 200: z.object({ object: z.literal('list'), data: z.array(scalingSchema) }) },
    },
    handler: async () => {
      const pools = await db.query<Scaling & Row>(
        `SELECT pool, ready, warming, desired, wanted, reason, stuck, outstanding_tokens, live_tokens_per_second,
           extract(epoch FROM decided_at)::int AS decided_at,
           greatest(0, extract(epoch FROM now() - decided_at))::int AS age_seconds FROM scaling ORDER BY pool`,
      )
      const changes = await db.query<
        { pool: string; at: number; before: number; desired: number; reason: string } & Row
      >(
        `SELECT s.pool, c.* FROM scaling s, LATERAL (
           SELECT extract(epoch FROM decided_at)::int AS at, before, desired, reason FROM scaling_decisions d
           WHERE d.pool = s.pool ORDER BY id DESC LIMIT $1) AS c`,
        [changesShown],
      )
      const data = pools.map((each) => ({
        ...each,
        object: 'scaling' as const,
        changes: changes.filter(({ pool }) => pool === each.pool).map(({ pool: _, ...change }) => change),
      }))
      return { object: 'list' as const, data }
    },
  })
}
