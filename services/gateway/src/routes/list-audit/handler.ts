import { ForebayError } from '@forebay/kernel'
import { z } from 'zod'
import type { Route } from '../../gateway-deps.ts'
import { type AuditRow, auditObject, auditSchema } from './audit-object.ts'

const cursorPattern = /^(\d{1,15})\.(.{1,200})$/

/** GET /admin/audit: the audit log of a tenant in the order of its commits, newest first unless told. */
export const listAudit: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/admin/audit',
    schema: {
      tags: ['Audit'],
      summary: 'List audit rows: how every finished request ended',
      querystring: z.object({
        tenant: z.string(),
        batch: z.string().optional(),
        key: z.string().optional().describe('The id of the API key'),
        model: z.string().optional(),
        outcome: z.enum(['succeeded', 'failed', 'cancelled']).optional(),
        start: z.iso.datetime({ offset: true }).or(z.iso.date()).optional().describe('Finished at this time or later'),
        end: z.iso.datetime({ offset: true }).or(z.iso.date()).optional().describe('Finished before this time'),
        order: z.enum(['asc', 'desc']).default('desc'),
        after: z.string().optional().describe('The cursor of the page before'),
        limit: z.coerce.number().int().min(1).max(1_000).default(100),
      }),
      response: {
        200: z.object({
          object: z.literal('list'),
          data: z.array(auditSchema),
          next: z.string().nullable().describe('The cursor of the next page; null at the end'),
        }),
      },
    },
    handler: async (request) => {
      const { after, batch, end, key, limit, model, order, outcome, start, tenant } = request.query
      const cursor = after === undefined ? undefined : cursorPattern.exec(after)
      if (cursor === null) {
        throw new ForebayError('invalid_value', 'after: expected the "next" of a page before.', { param: 'after' })
      }
      const [direction, sort] = order === 'asc' ? ['>', 'ASC'] : ['<', 'DESC']
      const rows = await db.query<AuditRow>(
        `SELECT * FROM requests
         WHERE tenant_id = $1 AND ($2::text IS NULL OR (batch_id = $2 AND born = born_of($2)))
           AND ($3::text IS NULL OR api_key_id = $3) AND ($4::text IS NULL OR model = $4)
           AND ($5::text IS NULL OR outcome = $5) AND ($6::timestamptz IS NULL OR finished_at >= $6)
           AND ($7::timestamptz IS NULL OR finished_at < $7)
           AND ($8::bigint IS NULL OR (commit_order, id) ${direction} ($8, $9::text))
         ORDER BY commit_order ${sort}, id ${sort} LIMIT $10`,
        [
          ...[tenant, batch ?? null, key ?? null, model ?? null, outcome ?? null, start ?? null, end ?? null],
          ...[cursor ? Number(cursor[1]) : null, cursor?.[2] ?? null, limit + 1],
        ],
      )
      const shown = rows.slice(0, limit)
      const last = rows.length > limit ? shown.at(-1) : undefined
      const next = last ? `${last.commit_order}.${last.id}` : null
      return { object: 'list' as const, data: shown.map(auditObject), next }
    },
  })
}
