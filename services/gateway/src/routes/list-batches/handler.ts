import { callerOf } from '../../auth/require-caller.ts'
import { type BatchRow, batchObject, batchSchema } from '../../batches/batch-object.ts'
import { readQuality } from '../../batches/batch-quality.ts'
import type { Route } from '../../gateway-deps.ts'
import { listOf, listQuery, selectPage, toList } from '../../http/list-page.ts'

const querystring = listQuery({ limitMax: 100, limitDefault: 20 })

/** GET /v1/batches. */
export const listBatches: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/v1/batches',
    schema: { tags: ['Batches'], summary: 'List batches', querystring, response: { 200: listOf(batchSchema) } },
    handler: async (request) => {
      const { tenantId } = callerOf(request)
      const rows = await selectPage<BatchRow>(db, { ...request.query, from: 'batches', tenantId })
      const quality = await readQuality(
        db,
        rows.map(({ id }) => id),
      )
      return toList(rows, request.query.limit, (row) => batchObject(row, quality.get(row.id)))
    },
  })
}
