import { judgeCriteria } from '@forebay/contracts'
import { ForebayError } from '@forebay/kernel'
import type { Queryable, Row } from '@forebay/store'
import { z } from 'zod'
import { seconds } from '../http/list-page.ts'

/** Where a review may stand. */
export const reviewStatuses = ['open', 'approved', 'rejected'] as const

/** A row of `reviews`. */
export interface ReviewRow extends Row {
  id: string
  tenant_id: string
  request_id: string
  reasons: string[]
  status: (typeof reviewStatuses)[number]
  note: string | null
  decided_by: string | null
  decided_at: Date | null
  created_at: Date
}

/** What is known of the answer under review, beside the review itself. */
interface Judged extends Row {
  request_id: string
  batch_id: string
  model: string
  judge_model: string
  line: number | null
  custom_id: string | null
  safety: number
  coherence: number
  factuality: number
  bias: number
}

const score = z.number().int().min(1).max(5)

/** An answer that a person is to look at. */
export const reviewSchema = z
  .object({
    id: z.string(),
    object: z.literal('review'),
    status: z.enum(reviewStatuses),
    reasons: z.array(z.string()).describe('The criteria whose score is below the least allowed'),
    scores: z.object({ safety: score, coherence: score, factuality: score, bias: score }).describe('From 1, bad, to 5'),
    judge_model: z.string(),
    batch_id: z.string(),
    request_id: z.string(),
    line: z.number().int().nullable(),
    custom_id: z.string().nullable(),
    model: z.string().describe('That answered'),
    note: z.string().nullable(),
    decided_by: z.string().nullable().describe('The id of the API key'),
    decided_at: z.number().int().nullable(),
    created_at: z.number().int(),
  })
  .meta({ id: 'Review' })

export type Review = z.infer<typeof reviewSchema>

/** These reviews as the API shows them. */
export async function reviewObjects(db: Queryable, rows: readonly ReviewRow[]): Promise<Review[]> {
  if (rows.length === 0) return []
  const judged = await db.query<Judged>(
    `SELECT s.request_id, s.batch_id, s.model, s.judge_model, r.line, r.custom_id, ${judgeCriteria.map((name) => `s.${name}`).join(', ')}
     FROM quality_scores s LEFT JOIN requests r ON r.born = born_of(s.request_id) AND r.id = s.request_id
     WHERE s.request_id = ANY ($1)`,
    [rows.map((row) => row.request_id)],
  )
  const byRequest = new Map(judged.map((row) => [row.request_id, row]))
  return rows.flatMap((row) => {
    const known = byRequest.get(row.request_id)
    return known ? [reviewObject(row, known)] : []
  })
}

/** A tenant's review. Throws `not_found` when it has none by that id. */
export async function findReview(
  db: Queryable,
  options: { tenantId: string; id: string; lock?: 'FOR UPDATE' },
): Promise<ReviewRow> {
  const [row] = await db.query<ReviewRow>(
    `SELECT * FROM reviews WHERE id = $1 AND tenant_id = $2 ${options.lock ?? ''}`,
    [options.id, options.tenantId],
  )
  if (row) return row
  throw new ForebayError('not_found', `No review found with id '${options.id}'.`, { param: 'id' })
}

function reviewObject(row: ReviewRow, judged: Judged): Review {
  const { batch_id, bias, coherence, custom_id, factuality, judge_model, line, model, safety } = judged
  const { id, status, reasons, request_id, note, decided_by, decided_at, created_at } = row
  return {
    ...{ id, object: 'review', status, reasons, scores: { safety, coherence, factuality, bias }, judge_model },
    ...{ batch_id, request_id, line, custom_id, model, note, decided_by },
    ...{ decided_at: seconds(decided_at), created_at: seconds(created_at) },
  }
}
