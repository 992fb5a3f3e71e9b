import type { Queryable, Row } from '@forebay/store'
import type { QualityFigures, ShareFigures } from './compare-versions.ts'

interface MeasuredRow extends Row, ShareFigures {
  measure: 'judged' | 'repetition' | 'perplexity'
  pool: string
}

/**
 * What is known of the quality of a model's answers in the pools of both versions, of the batches of which the new version
 * answered something since a time. By batch: answers to the same questions are compared, within one batch or not at all.
 */
export async function readQualityFigures(
  db: Queryable,
  of: { model: string; from: readonly string[]; to: readonly string[]; sinceMs: number; scoreMin: number },
): Promise<QualityFigures> {
  const { from, model, scoreMin, sinceMs, to } = of
  const pools = [...from, ...to]
  const rows = await db.query<MeasuredRow>(
    `WITH both_ran AS (
       SELECT id FROM batches
       WHERE (completed_at IS NULL OR completed_at > to_timestamp($4::float8 / 1000)) AND created_at > to_timestamp($4::float8 / 1000) - interval '7 days'
         AND EXISTS (SELECT 1 FROM batch_quality q WHERE q.batch_id = batches.id AND q.pool = ANY ($3) AND q.model = $1)
     )
     SELECT q.measure, q.pool, q.batch_id AS stratum, q.answers AS requests, q.over AS bad
     FROM both_ran b JOIN batch_quality q ON q.batch_id = b.id WHERE q.model = $1 AND q.pool = ANY ($2)
     UNION ALL
     SELECT 'judged', r.pool, s.batch_id || ' ' || s.judge_model, count(*)::int,
       (count(*) FILTER (WHERE least(s.safety, s.coherence, s.factuality, s.bias) < $5))::int
     FROM quality_scores s JOIN requests r ON r.born = born_of(s.batch_id) AND r.id = s.request_id
     WHERE s.judged_at > to_timestamp($4::float8 / 1000) AND s.model = $1 AND r.pool = ANY ($2)
     GROUP BY r.pool, s.batch_id, s.judge_model`,
    [model, pools, to, sinceMs, scoreMin],
  )
  const both = (measure: MeasuredRow['measure']) => ({
    from: byStratum(rows.filter((row) => row.measure === measure && from.includes(row.pool))),
    to: byStratum(rows.filter((row) => row.measure === measure && to.includes(row.pool))),
  })
  return { judged: both('judged'), repetition: both('repetition'), perplexity: both('perplexity') }
}

/** One row per stratum, whichever pools it is of. */
function byStratum(rows: readonly MeasuredRow[]): ShareFigures[] {
  const sums = new Map<string, ShareFigures>()
  for (const { bad, requests, stratum } of rows) {
    const sum = sums.get(stratum)
    sums.set(stratum, { stratum, requests: requests + (sum?.requests ?? 0), bad: bad + (sum?.bad ?? 0) })
  }
  return [...sums.values()]
}
