import { z } from 'zod'
import { type LedgerRow, ledgerKinds, ledgerObject, ledgerSchema } from '../../admin/ledger-object.ts'
import type { Route } from '../../gateway-deps.ts'

/** GET /admin/ledger: the entries as they are, newest first. */
export const listLedger: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/admin/ledger',
    schema: {
      tags: ['Admin'],
      summary: 'List ledger entries',
      querystring: z.object({
        tenant: z.string().optional().describe('Every tenant, and idle time, when not given'),
        request: z.string().optional().describe('The entries of a request, and their corrections'),
        batch: z.string().optional(),
        kind: z.enum(ledgerKinds).optional(),
        before: z.coerce.number().int().min(1).optional().describe('The id to go on before'),
        limit: z.coerce.number().int().min(1).max(1_000).default(100),
      }),
      response: {
        200: z.object({ object: z.literal('list'), data: z.array(ledgerSchema), has_more: z.boolean() }),
      },
    },
    handler: async (request) => {
      const { batch, before, kind, limit, request: requestId, tenant } = request.query
      const rows = await db.query<LedgerRow>(
        `SELECT * FROM ledger WHERE ($1::text IS NULL OR tenant_id = $1)
           AND ($2::text IS NULL OR request_id = $2 OR corrects IN (SELECT id FROM ledger WHERE request_id = $2))
           AND ($3::text IS NULL OR batch_id = $3) AND ($4::text IS NULL OR kind = $4)
           AND ($5::bigint IS NULL OR id < $5) ORDER BY id DESC LIMIT $6`,
        [tenant ?? null, requestId ?? null, batch ?? null, kind ?? null, before ?? null, limit + 1],
      )
      const data = rows.slice(0, limit).map(ledgerObject)
      return { object: 'list' as const, data, has_more: rows.length > limit }
    },
  })
}
