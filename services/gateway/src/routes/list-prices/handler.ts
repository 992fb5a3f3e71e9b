import { z } from 'zod'
import { type PriceRow, priceObject, priceSchema } from '../../admin/price-object.ts'
import type { Route } from '../../gateway-deps.ts'

/** GET /admin/prices: the whole price book, past prices included. */
export const listPrices: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/admin/prices',
    schema: {
      tags: ['Admin'],
      summary: 'List prices',
      response: { 200: z.object({ object: z.literal('list'), data: z.array(priceSchema) }) },
    },
    handler: async () => {
      const rows = await db.query<PriceRow>('SELECT * FROM prices ORDER BY id DESC')
      return { object: 'list' as const, data: rows.map(priceObject) }
    },
  })
}
