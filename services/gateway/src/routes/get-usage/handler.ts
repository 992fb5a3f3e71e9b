import { ForebayError } from '@forebay/kernel'
import type { Row } from '@forebay/store'
import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import type { Route } from '../../gateway-deps.ts'

const groups = {
  model: 'model',
  batch: 'batch_id',
  day: "to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
  key: 'api_key_id',
  tenant: 'tenant_id',
} as const

const time = z
  .string()
  .transform((text) => (/^\d{1,11}$/.test(text) ? Number(text) * 1000 : /^\d{4}-/.test(text) ? Date.parse(text) : -1))
  .refine((ms) => ms >= 0 && ms <= 8.64e15, 'Invalid time: expected Unix seconds or an ISO 8601 date.')

const bucket = z.object({
  key: z.string().nullable().describe('The model, batch, day, key or tenant; null for what belongs to none'),
  requests: z.number().int(),
  input_tokens: z.number().int(),
  cached_tokens: z.number().int(),
  output_tokens: z.number().int(),
  reasoning_tokens: z.number().int(),
  cost_nano: z.number().int(),
  currency: z.string(),
})

/** GET /v1/usage: what the ledger holds, grouped. Its own tenant's, but for an admin's group_by=tenant. */
export const getUsage: Route = (app, { clock, db }) => {
  app.route({
    method: 'GET',
    url: '/v1/usage',
    schema: {
      tags: ['Usage'],
      summary: 'Tokens and cost',
      querystring: z.object({
        group_by: z.enum(['model', 'batch', 'day', 'key', 'tenant']).default('model'),
        start: time.optional().describe('Unix seconds or ISO 8601; 30 days ago when not given'),
        end: time.optional().describe('Unix seconds or ISO 8601, exclusive; now when not given'),
      }),
      response: {
        200: z.object({
          object: z.literal('list'),
          group_by: z.string(),
          start: z.number().int(),
          end: z.number().int(),
          data: z.array(bucket),
          truncated: z.boolean().describe('More than 10,000 groups: narrow the time'),
        }),
      },
    },
    handler: async (request) => {
      const caller = callerOf(request)
      const { group_by: groupBy } = request.query
      if (groupBy === 'tenant' && caller.role !== 'admin') {
        throw new ForebayError('permission_denied', "group_by 'tenant' needs an API key with the role admin.", {
          param: 'group_by',
        })
      }
      // The ledger is written by other machines' clocks: "now" has some room.
      const endMs = request.query.end ?? clock.now() + 60_000
      const startMs = request.query.start ?? endMs - 30 * 86_400_000
      const rows = await db.query<Row & z.infer<typeof bucket>>(
        `SELECT ${groups[groupBy]} AS key, count(*) FILTER (WHERE kind IN ('usage', 'cache_hit')) AS requests,
           coalesce(sum(prompt_tokens), 0)::bigint AS input_tokens,
           coalesce(sum(cached_tokens), 0)::bigint AS cached_tokens,
           coalesce(sum(completion_tokens), 0)::bigint AS output_tokens,
           coalesce(sum(reasoning_tokens), 0)::bigint AS reasoning_tokens,
           coalesce(sum(amount_nano), 0)::bigint AS cost_nano, currency
         FROM ledger WHERE occurred_at >= $1 AND occurred_at < $2 AND ($3::text IS NULL OR tenant_id = $3)
         GROUP BY 1, currency ORDER BY 1, currency LIMIT 10001`,
        [new Date(startMs), new Date(endMs), groupBy === 'tenant' ? null : caller.tenantId],
      )
      return {
        object: 'list' as const,
        group_by: groupBy,
        start: Math.floor(startMs / 1000),
        end: Math.floor(endMs / 1000),
        data: rows.slice(0, 10_000),
        truncated: rows.length > 10_000,
      }
    },
  })
}
