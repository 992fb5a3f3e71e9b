import { ForebayError, isForebayError } from '@forebay/kernel'
import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import { findFile } from '../../files/find-file.ts'
import type { Route } from '../../gateway-deps.ts'

/** GET /v1/files/{id}/content: the file's bytes, streamed. */
export const getFileContent: Route = (app, { blobs, db }) => {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/v1/files/:id/content',
    exposeHeadRoute: false,
    schema: {
      tags: ['Files'],
      summary: "Download a file's content",
      params: z.object({ id: z.string() }),
      produces: ['application/octet-stream'],
    },
    handler: async (request, reply) => {
      const file = await findFile(db, { tenantId: callerOf(request).tenantId, id: request.params.id })
      reply.type('application/octet-stream').header('content-length', file.bytes)
      reply.header('content-disposition', `attachment; filename*=UTF-8''${encodeURIComponent(file.filename)}`)
      if (request.method === 'HEAD') return reply.send('')
      const content = await blobs.read(file.blob_key).catch((err: unknown) => {
        reply.removeHeader('content-length').removeHeader('content-disposition').removeHeader('content-type')
        if (!isForebayError(err) || err.code !== 'not_found') throw err
        throw new ForebayError('not_found', `The content of file ${file.id} is gone.`, { param: 'id', cause: err })
      })
      return reply.send(content)
    },
  })
}
