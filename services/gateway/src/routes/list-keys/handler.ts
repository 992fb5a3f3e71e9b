import type { ApiKey } from '@forebay/store'
import { z } from 'zod'
import { keyObject, keySchema } from '../../admin/key-object.ts'
import { callerOf } from '../../auth/require-caller.ts'
import type { Route } from '../../gateway-deps.ts'

/** GET /admin/keys. */
export const listKeys: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/admin/keys',
    schema: {
      tags: ['Admin'],
      summary: 'List API keys',
      querystring: z.object({ tenant: z.string().optional().describe("The caller's own when not given") }),
      response: { 200: z.object({ object: z.literal('list'), data: z.array(keySchema) }) },
    },
    handler: async (request) => {
      const rows = await db.query<ApiKey>(
        'SELECT * FROM api_keys WHERE tenant_id = $1 ORDER BY created_at DESC, id DESC',
        [request.query.tenant ?? callerOf(request).tenantId],
      )
      return { object: 'list' as const, data: rows.map(keyObject) }
    },
  })
}
