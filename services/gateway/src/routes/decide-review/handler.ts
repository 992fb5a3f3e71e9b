import { ForebayError } from '@forebay/kernel'
import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import type { Route } from '../../gateway-deps.ts'
import { findReview, type ReviewRow, reviewObjects, reviewSchema } from '../../reviews/review-object.ts'

const outcome = { approve: 'approved', reject: 'rejected' } as const

/**
 * POST /v1/reviews/{id}: decides it, once; the same decision again changes nothing. Rejecting also puts out of reach
 * what the caches hold of that model for the tenant: the same question may have been answered the same way live.
 */
export const decideReview: Route = (app, { db }) => {
  app.route({
    method: 'POST',
    url: '/v1/reviews/:id',
    schema: {
      tags: ['Reviews'],
      summary: 'Approve or reject an answer under review',
      params: z.object({ id: z.string() }),
      body: z.object({
        decision: z.enum(['approve', 'reject']),
        note: z.string().max(4_096).nullish().describe('Kept with the review'),
      }),
      response: { 200: reviewSchema },
    },
    handler: async (request) => {
      const { keyId, tenantId } = callerOf(request)
      const { decision, note = null } = request.body
      const { id } = request.params
      const [review] = await db.tx(async (tx) => {
        const known = await findReview(tx, { tenantId, id, lock: 'FOR UPDATE' })
        if (known.status === outcome[decision]) return reviewObjects(tx, [known])
        if (known.status !== 'open') {
          throw new ForebayError('conflict', `The review '${id}' is decided: ${known.status}.`, { param: 'decision' })
        }
        const decided = await tx.query<ReviewRow>(
          `UPDATE reviews SET status = $2, note = $3, decided_by = $4, decided_at = now() WHERE id = $1 RETURNING *`,
          [id, outcome[decision], note, keyId],
        )
        const shown = await reviewObjects(tx, decided)
        if (decision === 'reject') {
          for (const { model } of shown) await tx.query('SELECT flush_cache($1, $2)', [tenantId, model])
        }
        return shown
      })
      if (!review) throw new Error('a review has no scores')
      return review
    },
  })
}
