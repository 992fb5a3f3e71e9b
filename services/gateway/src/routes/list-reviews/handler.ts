import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import type { Route } from '../../gateway-deps.ts'
import { listOf, listQuery, selectPage, toList } from '../../http/list-page.ts'
import { type ReviewRow, reviewObjects, reviewSchema, reviewStatuses } from '../../reviews/review-object.ts'

const querystring = listQuery({ limitMax: 100, limitDefault: 20 }).extend({
  status: z.enum(reviewStatuses).optional().describe('All when not given'),
})

/** GET /v1/reviews. */
export const listReviews: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/v1/reviews',
    schema: {
      tags: ['Reviews'],
      summary: 'List answers that were flagged for review',
      querystring,
      response: { 200: listOf(reviewSchema) },
    },
    handler: async (request) => {
      const { tenantId } = callerOf(request)
      const { status, ...page } = request.query
      const wanted = status === undefined ? {} : { where: 'status = $3', values: [status] }
      const rows = await selectPage<ReviewRow>(db, { ...page, ...wanted, from: 'reviews', tenantId })
      return toList(await reviewObjects(db, rows), page.limit, (review) => review)
    },
  })
}
