import { ForebayError } from '@forebay/kernel'
import { z } from 'zod'
import type { Route } from '../../gateway-deps.ts'

/** DELETE /admin/budgets/{id}: its limits are gone within seconds. */
export const deleteBudget: Route = (app, { budgets, db }) => {
  app.route({
    method: 'DELETE',
    url: '/admin/budgets/:id',
    schema: {
      tags: ['Admin'],
      summary: 'Delete a budget',
      params: z.object({ id: z.string() }),
      response: { 200: z.object({ id: z.string(), object: z.literal('budget'), deleted: z.literal(true) }) },
    },
    handler: async (request) => {
      const { id } = request.params
      const rows = await db.query('DELETE FROM budgets WHERE id = $1 RETURNING id', [id])
      if (rows.length === 0) throw new ForebayError('not_found', `No budget found with id '${id}'.`, { param: 'id' })
      await budgets.refresh()
      return { id, object: 'budget' as const, deleted: true as const }
    },
  })
}
