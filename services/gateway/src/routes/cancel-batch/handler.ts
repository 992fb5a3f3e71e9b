import { ForebayError } from '@forebay/kernel'
import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import { type BatchRow, batchObject, batchSchema } from '../../batches/batch-object.ts'
import { readQuality } from '../../batches/batch-quality.ts'
import { findBatch } from '../../batches/find-batch.ts'
import type { Route } from '../../gateway-deps.ts'

/** POST /v1/batches/{id}/cancel. Safe to repeat. */
export const cancelBatch: Route = (app, { db }) => {
  app.route({
    method: 'POST',
    url: '/v1/batches/:id/cancel',
    schema: {
      tags: ['Batches'],
      summary: 'Cancel a batch',
      params: z.object({ id: z.string() }),
      response: { 200: batchSchema },
    },
    handler: async (request) => {
      const { tenantId } = callerOf(request)
      const row = await db.tx(async (tx) => {
        const batch = await findBatch(tx, { tenantId, id: request.params.id, lock: 'FOR UPDATE' })
        if (batch.status === 'cancelling' || batch.status === 'cancelled') return batch
        if (batch.status !== 'validating' && batch.status !== 'in_progress') {
          throw new ForebayError('conflict', `Cannot cancel a batch with status '${batch.status}'.`)
        }
        const [moved] = await tx.query<BatchRow>(
          "UPDATE batches SET status = 'cancelling', cancelling_at = now() WHERE id = $1 RETURNING *",
          [batch.id],
        )
        await tx.query("SELECT pg_notify('forebay_batches', $1)", [batch.id])
        return moved ?? batch
      })
      return batchObject(row, (await readQuality(db, [row.id])).get(row.id))
    },
  })
}
