import { ForebayError } from '@forebay/kernel'
import type { Row } from '@forebay/store'
import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import { findBatch } from '../../batches/find-batch.ts'
import type { Route } from '../../gateway-deps.ts'
import { usageTime } from '../../usage/usage-time.ts'

// A line is the end of its request's id; a correction is of the line of the entry that it corrects.
const lineOf = `substring(CASE WHEN corrects IS NULL THEN request_id
  ELSE (SELECT corrected.request_id FROM ledger corrected WHERE corrected.id = ledger.corrects) END FROM '_([0-9]+)$')::int`

const groups = {
  line: lineOf,
  model: 'model',
  batch: 'batch_id',
  day: "to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
  key: 'api_key_id',
  project: 'project_id',
  tenant: 'tenant_id',
} as const

const bucket = z.object({
  key: z
    .string()
    .nullable()
    .describe('The model, batch, line, day, key, project or tenant; null for what belongs to none'),
  requests: z.number().int(),
  input_tokens: z.number().int(),
  cached_tokens: z.number().int(),
  output_tokens: z.number().int(),
  reasoning_tokens: z.number().int(),
  cached_unknown_requests: z
    .number()
    .int()
    .describe('Whose engine did not say what it had cached: charged as uncached'),
  cache_hits: z.number().int().describe('Requests that no engine computed'),
  cost_nano: z.number().int().describe('Corrections included'),
  corrections_nano: z.number().int().describe('Of this, adjustments and credits'),
  gpu_ms: z.number().describe('Engine time; of the tenant null, time in which engines were idle'),
  compute_nano: z.number().int().nullable().describe('What that time costs in its pools; null when none of them tells'),
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
        group_by: z
          .enum(['model', 'batch', 'line', 'day', 'key', 'project', 'tenant'])
          .default('model')
          .describe('line: the charged lines of a batch, which must be named'),
        batch: z.string().optional().describe('Of this batch alone; then start is its beginning when not given'),
        start: usageTime.optional().describe('Unix seconds or ISO 8601; 30 days ago when not given'),
        end: usageTime.optional().describe('Unix seconds or ISO 8601, exclusive; now when not given'),
        after: z.string().optional().describe('The key to go on after'),
        limit: z.coerce.number().int().min(1).max(10_000).default(10_000),
      }),
      response: {
        200: z.object({
          object: z.literal('list'),
          group_by: z.string(),
          start: z.number().int(),
          end: z.number().int(),
          data: z.array(bucket),
          truncated: z.boolean().describe('There are more groups: go on after the last key'),
        }),
      },
    },
    handler: async (request) => {
      const caller = callerOf(request)
      const { after, batch, group_by: groupBy, limit } = request.query
      if (groupBy === 'tenant' && caller.role !== 'admin') {
        throw new ForebayError('permission_denied', "group_by 'tenant' needs an API key with the role admin.", {
          param: 'group_by',
        })
      }
      if (groupBy === 'line') {
        const text = "group_by 'line' needs the 'batch' whose lines are meant."
        if (batch === undefined) throw new ForebayError('missing_required_parameter', text, { param: 'batch' })
        if (after !== undefined && !/^\d{1,9}$/.test(after)) {
          throw new ForebayError('invalid_value', "Invalid 'after': expected the number of a line.", { param: 'after' })
        }
      }
      if (batch !== undefined) await findBatch(db, { tenantId: caller.tenantId, id: batch, param: 'batch' })
      // The ledger is written by other machines' clocks: "now" has some room.
      const endMs = request.query.end ?? clock.now() + 60_000
      const startMs = request.query.start ?? (batch === undefined ? endMs - 30 * 86_400_000 : 0)
      const rows = await db.query<Row & Omit<z.infer<typeof bucket>, 'key'> & { key: string | number | null }>(
        `SELECT ${groups[groupBy]} AS key, count(*) FILTER (WHERE kind IN ('usage', 'cache_hit')) AS requests,
           coalesce(sum(prompt_tokens), 0)::bigint AS input_tokens,
           coalesce(sum(cached_tokens), 0)::bigint AS cached_tokens,
           coalesce(sum(completion_tokens), 0)::bigint AS output_tokens,
           coalesce(sum(reasoning_tokens), 0)::bigint AS reasoning_tokens,
           count(*) FILTER (WHERE kind = 'usage' AND cached_tokens IS NULL) AS cached_unknown_requests,
           count(*) FILTER (WHERE kind = 'cache_hit') AS cache_hits,
           coalesce(sum(amount_nano), 0)::bigint AS cost_nano,
           coalesce(sum(amount_nano) FILTER (WHERE kind IN ('adjustment', 'credit')), 0)::bigint AS corrections_nano,
           (coalesce(sum(gpu_micros), 0) / 1000.0)::float8 AS gpu_ms, sum(compute_nano)::bigint AS compute_nano, currency
         FROM ledger WHERE occurred_at >= $1 AND occurred_at < $2 AND ($3::text IS NULL OR tenant_id = $3)
           AND ($4::text IS NULL OR ${groups[groupBy]} > $4::text${groupBy === 'line' ? '::int' : ''})
           AND ($6::text IS NULL OR batch_id = $6)
         GROUP BY 1, currency ORDER BY 1, currency LIMIT $5`,
        [
          ...[
            new Date(startMs),
            new Date(endMs),
            groupBy === 'tenant' ? null : caller.tenantId,
            after ?? null,
            limit + 1,
          ],
          batch ?? null,
        ],
      )
      return {
        object: 'list' as const,
        group_by: groupBy,
        start: Math.floor(startMs / 1000),
        end: Math.floor(endMs / 1000),
        data: rows.slice(0, limit).map((row) => ({ ...row, key: row.key === null ? null : String(row.key) })),
        truncated: rows.length > limit,
      }
    },
  })
}
