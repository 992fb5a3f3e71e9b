import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import { fileObject, fileSchema } from '../../files/file-object.ts'
import { findFile } from '../../files/find-file.ts'
import type { Route } from '../../gateway-deps.ts'

/** GET /v1/files/{id}. */
export const getFile: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/v1/files/:id',
    schema: {
      tags: ['Files'],
      summary: 'Retrieve a file',
      params: z.object({ id: z.string() }),
      response: { 200: fileSchema },
    },
    handler: async (request) =>
      fileObject(await findFile(db, { tenantId: callerOf(request).tenantId, id: request.params.id })),
  })
}
