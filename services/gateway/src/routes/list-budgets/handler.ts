import { listBudgets as read } from '@forebay/budgets'
import { z } from 'zod'
import { budgetObject, budgetSchema } from '../../budgets/budget-object.ts'
import type { Route } from '../../gateway-deps.ts'

/** GET /admin/budgets: with what is spent and held in their present period. */
export const listBudgets: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/admin/budgets',
    schema: {
      tags: ['Admin'],
      summary: 'List budgets',
      querystring: z.object({ tenant: z.string().optional().describe('Every tenant when not given') }),
      response: { 200: z.object({ object: z.literal('list'), data: z.array(budgetSchema) }) },
    },
    handler: async (request) => {
      const rows = await read(db, request.query.tenant ?? null)
      return { object: 'list' as const, data: rows.map(budgetObject) }
    },
  })
}
