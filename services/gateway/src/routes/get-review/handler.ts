import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import type { Route } from '../../gateway-deps.ts'
import { readAnswer } from '../../reviews/read-answer.ts'
import { findReview, reviewObjects, reviewSchema } from '../../reviews/review-object.ts'

const withAnswer = reviewSchema.extend({
  request: z.unknown().describe('The body that was sent to the model; null when it is no longer kept'),
  answer: z.unknown().describe('The body that it answered with; null when it is no longer kept'),
})

/** GET /v1/reviews/{id}: with what was asked and answered. */
export const getReview: Route = (app, { blobs, db, pools }) => {
  app.route({
    method: 'GET',
    url: '/v1/reviews/:id',
    schema: {
      tags: ['Reviews'],
      summary: 'Retrieve a review, with what was asked and answered',
      params: z.object({ id: z.string() }),
      response: { 200: withAnswer },
    },
    handler: async (request) => {
      const row = await findReview(db, { tenantId: callerOf(request).tenantId, id: request.params.id })
      const [review] = await reviewObjects(db, [row])
      if (!review) throw new Error('a review has no scores')
      const { batch_id: batchId, request_id: requestId } = review
      return { ...review, ...(await readAnswer({ db, blobs, pools }, { batchId, requestId })) }
    },
  })
}
