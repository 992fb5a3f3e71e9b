import { ForebayError } from '@forebay/kernel'
import { z } from 'zod'
import type { Route } from '../../gateway-deps.ts'

/** DELETE /admin/keys/{id}: revokes it; it works for 5 s more at most. Its row stays, for the ledger names it. */
export const deleteKey: Route = (app, { db }) => {
  app.route({
    method: 'DELETE',
    url: '/admin/keys/:id',
    schema: {
      tags: ['Admin'],
      summary: 'Revoke an API key',
      params: z.object({ id: z.string() }),
      response: { 200: z.object({ id: z.string(), object: z.literal('api_key'), deleted: z.literal(true) }) },
    },
    handler: async (request) => {
      const { id } = request.params
      const rows = await db.query(
        'UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING id',
        [id],
      )
      if (rows.length === 0) throw new ForebayError('not_found', `No API key found with id '${id}'.`, { param: 'id' })
      return { id, object: 'api_key' as const, deleted: true as const }
    },
  })
}
