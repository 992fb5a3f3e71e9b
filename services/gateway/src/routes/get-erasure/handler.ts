import { ForebayError } from '@forebay/kernel'
import { z } from 'zod'
import { type ErasureRow, erasureObject, erasureSchema } from '../../erasures/erasure-object.ts'
import type { Route } from '../../gateway-deps.ts'

/** GET /admin/erasures/{id}. */
export const getErasure: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/admin/erasures/:id',
    schema: {
      tags: ['Admin'],
      summary: 'How far an erasure has come',
      params: z.object({ id: z.string() }),
      response: { 200: erasureSchema },
    },
    handler: async (request) => {
      const { id } = request.params
      const [row] = await db.query<ErasureRow>('SELECT * FROM erasures WHERE id = $1', [id])
      if (row) return erasureObject(row)
      const text = `No erasure found with id '${id}'. GET /admin/tenants/{id}/erasures lists them.`
      throw new ForebayError('not_found', text, { param: 'id' })
    },
  })
}
