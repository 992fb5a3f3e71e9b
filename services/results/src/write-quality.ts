import { addToSpread, emptySpread, type QualityMeasure, qualityMeasures, type Spread } from '@forebay/quality'
import type { Queryable } from '@forebay/store'
import { unnest } from './unnest.ts'
import type { Committed } from './write-requests.ts'

/** Values beyond which an answer is counted as `over`. */
export type QualityThresholds = Readonly<Record<QualityMeasure, number>>

/** What a transaction adds to what is known of a batch's answers. */
interface QualityDelta {
  batchId: string
  pool: string
  model: string
  measure: QualityMeasure
  spread: Spread
}

/** What was measured of an answer that an engine computed; the lines that share it do not count it again. */
export function* measuresOf({ arrival }: Committed): Generator<{ measure: QualityMeasure; value: number }> {
  const { quality, source } = arrival
  if (!quality || source !== 'engine') return
  for (const measure of qualityMeasures) {
    const value = quality[measure]
    if (value !== null) yield { measure, value }
  }
}

/** One delta per batch, pool, model and measure that has new values. */
export function qualityDeltas(committed: readonly Committed[], thresholds: QualityThresholds): QualityDelta[] {
  const deltas = new Map<string, QualityDelta>()
  for (const one of committed) {
    const { batchId, model, pool } = one.arrival
    if (batchId === null) continue
    for (const { measure, value } of measuresOf(one)) {
      const key = [batchId, measure, pool, model].join(' ')
      const delta = deltas.get(key) ?? { batchId, pool, model, measure, spread: emptySpread(measure) }
      deltas.set(key, delta)
      addToSpread(delta.spread, value, { measure, threshold: thresholds[measure] })
    }
  }
  return [...deltas.values()]
}

/** Adds to what is known of the batches' answers. The batches' rows must be locked. */
export async function addToQuality(tx: Queryable, deltas: readonly QualityDelta[]): Promise<void> {
  if (deltas.length === 0) return
  const rows = unnest(deltas, {
    batch_id: ['text', (d) => d.batchId],
    measure: ['text', (d) => d.measure],
    pool: ['text', (d) => d.pool],
    model: ['text', (d) => d.model],
    answers: ['int', (d) => d.spread.answers],
    total: ['float8', (d) => d.spread.total],
    over: ['int', (d) => d.spread.over],
    // A Postgres array cannot hold arrays, so each travels as its own literal.
    buckets: ['text', (d) => `{${d.spread.buckets.join(',')}}`],
  })
  await tx.query(
    `INSERT INTO batch_quality (${rows.names}) SELECT batch_id, measure, pool, model, answers, total, over, buckets::int[] FROM ${rows.from}
     ON CONFLICT (batch_id, measure, pool, model) DO UPDATE SET
       answers = batch_quality.answers + excluded.answers,
       total = batch_quality.total + excluded.total,
       over = batch_quality.over + excluded.over,
       buckets = ARRAY(SELECT was + added FROM unnest(batch_quality.buckets, excluded.buckets)
         WITH ORDINALITY AS steps (was, added, step) ORDER BY step)`,
    rows.values,
    { prepare: true },
  )
}
