import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import { batchObject, batchSchema } from '../../batches/batch-object.ts'
import { readQuality } from '../../batches/batch-quality.ts'
import { findBatch } from '../../batches/find-batch.ts'
import type { Route } from '../../gateway-deps.ts'

/** GET /v1/batches/{id}. */
export const getBatch: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/v1/batches/:id',
    schema: {
      tags: ['Batches'],
      summary: 'Retrieve a batch',
      params: z.object({ id: z.string() }),
      response: { 200: batchSchema },
    },
    handler: async (request) => {
      const row = await findBatch(db, { tenantId: callerOf(request).tenantId, id: request.params.id })
      return batchObject(row, (await readQuality(db, [row.id])).get(row.id))
    },
  })
}
