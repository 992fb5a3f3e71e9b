import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import { type FileRow, fileObject, fileSchema } from '../../files/file-object.ts'
import { visibleFile } from '../../files/find-file.ts'
import type { Route } from '../../gateway-deps.ts'
import { listOf, listQuery, selectPage, toList } from '../../http/list-page.ts'

const querystring = listQuery({ limitMax: 10_000, limitDefault: 10_000 }).extend({ purpose: z.string().optional() })

/** GET /v1/files. */
export const listFiles: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/v1/files',
    schema: { tags: ['Files'], summary: 'List files', querystring, response: { 200: listOf(fileSchema) } },
    handler: async (request) => {
      const { purpose, ...page } = request.query
      const rows = await selectPage<FileRow>(db, {
        ...page,
        from: 'files',
        tenantId: callerOf(request).tenantId,
        where: purpose === undefined ? visibleFile : `${visibleFile} AND purpose = $3`,
        values: purpose === undefined ? [] : [purpose],
      })
      return toList(rows, page.limit, fileObject)
    },
  })
}
