import { describeSpread, type QualityMeasure, type Spread } from '@forebay/quality'
import type { Queryable, Row } from '@forebay/store'
import { z } from 'zod'

const measured = z
  .object({
    answers: z.number().int().describe('Of which it could be measured'),
    mean: z.number(),
    p95: z.number().describe('To the step: the upper end of that in which it lies'),
    over: z.number().int().describe('Answers beyond the threshold in force when they came'),
  })
  .nullable()

/** What was measured of a batch's answers without a model. */
export const batchQualitySchema = z
  .object({
    repetition: measured.describe('Share of its runs of four words that an answer repeats; null while unknown'),
    perplexity: measured.describe('Of answers that carry log probabilities; null while there are none'),
  })
  .describe('What was measured of the answers that an engine computed')

export type BatchQuality = z.infer<typeof batchQualitySchema>

/** Of a batch none of whose answers was measured. */
export const unmeasured: BatchQuality = { repetition: null, perplexity: null }

interface QualityRow extends Row, Spread {
  batchId: string
  measure: QualityMeasure
}

/** What is known of these batches' answers; a batch of which nothing is known is not in it. */
export async function readQuality(
  db: Queryable,
  batchIds: readonly string[],
): Promise<ReadonlyMap<string, BatchQuality>> {
  const known = new Map<string, BatchQuality>()
  if (batchIds.length === 0) return known
  const rows = await db.query<QualityRow>(
    'SELECT batch_id AS "batchId", measure, answers, total, over, buckets FROM batch_quality WHERE batch_id = ANY ($1)',
    [batchIds],
  )
  for (const { batchId, measure, ...spread } of together(rows)) {
    const { mean, p95 } = describeSpread(measure, spread)
    if (mean === null || p95 === null) continue
    const { answers, over } = spread
    known.set(batchId, { ...(known.get(batchId) ?? unmeasured), [measure]: { answers, mean, p95, over } })
  }
  return known
}

/** One row per batch and measure: what its pools and models have, added up. */
function together(rows: readonly QualityRow[]): QualityRow[] {
  const sums = new Map<string, QualityRow>()
  for (const row of rows) {
    const key = `${row.batchId} ${row.measure}`
    const sum = sums.get(key)
    sums.set(
      key,
      sum === undefined
        ? row
        : {
            ...row,
            answers: sum.answers + row.answers,
            total: sum.total + row.total,
            over: sum.over + row.over,
            buckets: sum.buckets.map((count, i) => count + (row.buckets[i] ?? 0)),
          },
    )
  }
  return [...sums.values()]
}
