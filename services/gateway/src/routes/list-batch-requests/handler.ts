import type { Row } from '@forebay/store'
import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import { findBatch } from '../../batches/find-batch.ts'
import type { Route } from '../../gateway-deps.ts'
import { seconds } from '../../http/list-page.ts'

const item = z.object({
  id: z.string(),
  object: z.literal('batch.request'),
  line: z.number().int(),
  custom_id: z.string().nullable(),
  outcome: z.string(),
  status_code: z.number().int(),
  error_code: z.string().nullable(),
  model: z.string(),
  pool: z.string(),
  why: z.string().nullable().describe('Why its chunk went to the pool that it went to last'),
  attempt: z.number().int(),
  usage: z.object({
    input_tokens: z.number().int(),
    cached_tokens: z.number().int().nullable().describe('Null when the engine did not say'),
    output_tokens: z.number().int(),
    reasoning_tokens: z.number().int(),
  }),
  cost_nano: z.number().int(),
  duration_ms: z.number().int(),
  finished_at: z.number().int(),
})

interface RequestRow extends Row {
  id: string
  line: number
  custom_id: string | null
  outcome: string
  status_code: number
  error_code: string | null
  model: string
  pool: string
  why: string | null
  attempt: number
  prompt_tokens: number
  cached_tokens: number | null
  completion_tokens: number
  reasoning_tokens: number
  cost_nano: number
  duration_ms: number
  finished_at: Date
}

/** GET /v1/batches/{id}/requests: how each finished line ended, in line order, also while the batch runs. */
export const listBatchRequests: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/v1/batches/:id/requests',
    schema: {
      tags: ['Batches'],
      summary: 'List the finished requests of a batch by line',
      params: z.object({ id: z.string() }),
      querystring: z.object({
        after: z.coerce.number().int().min(0).max(2_147_483_647).default(0).describe('The line to go on after'),
        limit: z.coerce.number().int().min(1).max(1_000).default(100),
      }),
      response: {
        200: z.object({
          object: z.literal('list'),
          data: z.array(item),
          last_line: z.number().int().nullable(),
          has_more: z.boolean(),
        }),
      },
    },
    handler: async (request) => {
      const { limit, after } = request.query
      const batch = await findBatch(db, { tenantId: callerOf(request).tenantId, id: request.params.id })
      const rows = await db.query<RequestRow>(
        `SELECT r.*, (SELECT c.route_reason FROM chunks c WHERE c.batch_id = r.batch_id AND c.index = r.chunk) AS why,
           coalesce((SELECT sum(l.amount_nano) FROM ledger l WHERE l.request_id = r.id), 0)::bigint AS cost_nano
         FROM requests r WHERE r.born = born_of($1) AND r.batch_id = $1 AND r.line > $2 ORDER BY r.line LIMIT $3`,
        [batch.id, after, limit + 1],
      )
      const data = rows.slice(0, limit).map((row) => ({
        id: row.id,
        object: 'batch.request' as const,
        line: row.line,
        custom_id: row.custom_id,
        outcome: row.outcome,
        status_code: row.status_code,
        error_code: row.error_code,
        model: row.model,
        pool: row.pool,
        why: row.why,
        attempt: row.attempt,
        usage: {
          input_tokens: row.prompt_tokens,
          cached_tokens: row.cached_tokens,
          output_tokens: row.completion_tokens,
          reasoning_tokens: row.reasoning_tokens,
        },
        cost_nano: row.cost_nano,
        duration_ms: row.duration_ms,
        finished_at: seconds(row.finished_at),
      }))
      return { object: 'list' as const, data, last_line: data.at(-1)?.line ?? null, has_more: rows.length > limit }
    },
  })
}
