import { describeError, ForebayError } from '@forebay/kernel'
import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import { findFile } from '../../files/find-file.ts'
import type { Route } from '../../gateway-deps.ts'

/** DELETE /v1/files/{id}. A file that a batch still reads is kept. */
export const deleteFile: Route = (app, { blobs, db, logger }) => {
  app.route({
    method: 'DELETE',
    url: '/v1/files/:id',
    schema: {
      tags: ['Files'],
      summary: 'Delete a file',
      params: z.object({ id: z.string() }),
      response: { 200: z.object({ id: z.string(), object: z.literal('file'), deleted: z.literal(true) }) },
    },
    handler: async (request) => {
      const { tenantId } = callerOf(request)
      const { id } = request.params
      const file = await db.tx(async (tx) => {
        // The lock keeps a batch over this file from being created meanwhile.
        const found = await findFile(tx, { tenantId, id, lock: 'FOR UPDATE' })
        const [batch] = await tx.query<{ id: string; status: string }>(
          `SELECT id, status FROM batches WHERE input_file_id = $1 AND tenant_id = $2
           AND status IN ('validating', 'in_progress', 'finalizing', 'cancelling') LIMIT 1`,
          [id, tenantId],
        )
        if (batch) {
          const text = `File ${id} is in use by batch ${batch.id}, which is ${batch.status}. Wait for it or cancel it first.`
          throw new ForebayError('conflict', text, { param: 'id' })
        }
        await tx.query('UPDATE files SET deleted_at = now() WHERE id = $1', [id])
        return found
      })
      await blobs.delete(file.blob_key).catch((err: unknown) => {
        logger.warn({ fileId: id, reason: describeError(err) }, 'content of a deleted file left over')
      })
      return { id, object: 'file' as const, deleted: true as const }
    },
  })
}
