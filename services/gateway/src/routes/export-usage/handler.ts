import { Readable } from 'node:stream'
import { readAllPrices } from '@forebay/ledger'
import type { Database } from '@forebay/store'
import { z } from 'zod'
import type { LedgerRow } from '../../admin/ledger-object.ts'
import { callerOf } from '../../auth/require-caller.ts'
import type { Route } from '../../gateway-deps.ts'
import { focusColumns } from '../../usage/focus-columns.ts'
import { csvLine, focusRows } from '../../usage/focus-rows.ts'
import { usageTime } from '../../usage/usage-time.ts'

const pageRows = 2_000

/** GET /v1/usage/export: the ledger of the caller's tenant as CSV in the columns of FOCUS 1.2, streamed. */
export const exportUsage: Route = (app, { clock, db }) => {
  app.route({
    method: 'GET',
    url: '/v1/usage/export',
    schema: {
      tags: ['Usage'],
      summary: 'Export what was charged as CSV (FOCUS 1.2)',
      querystring: z.object({
        start: usageTime.optional().describe('Unix seconds or ISO 8601; 30 days ago when not given'),
        end: usageTime.optional().describe('Unix seconds or ISO 8601, exclusive; now when not given'),
      }),
    },
    handler: async (request, reply) => {
      const endMs = request.query.end ?? clock.now() + 60_000
      const startMs = request.query.start ?? endMs - 30 * 86_400_000
      const lines = exportLines(db, { tenantId: callerOf(request).tenantId, startMs, endMs })
      return reply.type('text/csv; charset=utf-8').send(Readable.from(lines, { objectMode: false }))
    },
  })
}

async function* exportLines(db: Database, scope: { tenantId: string; startMs: number; endMs: number }) {
  yield csvLine(focusColumns)
  for (let after = { at: new Date(scope.startMs), id: 0 }; ; ) {
    const page = await db.query<LedgerRow>(
      `SELECT *, date_trunc('milliseconds', occurred_at) AS occurred_at FROM ledger
       WHERE tenant_id = $1 AND occurred_at >= $2 AND occurred_at < $3
         AND (date_trunc('milliseconds', occurred_at), id) > ($2, $4)
       ORDER BY date_trunc('milliseconds', occurred_at), id LIMIT ${pageRows}`,
      [scope.tenantId, after.at, new Date(scope.endMs), after.id],
    )
    const last = page.at(-1)
    if (last === undefined) return
    const prices = new Map((await readAllPrices(db)).map((price) => [price.id, price]))
    yield page
      .flatMap((entry) => focusRows(entry, prices))
      .map((row) => csvLine(focusColumns.map((column) => row[column])))
      .join('')
    after = { at: last.occurred_at, id: last.id }
  }
}
