import { describeSpread } from '@forebay/quality'
import { expect, it } from 'vitest'
import { commitEvents } from './commit-events.ts'
import { addBatch, eventOf, openTestDatabase, resultOf } from './testing/harness.ts'

it('adds up what was measured of a batch, once for each answer, however often and in how many pieces it comes', async () => {
  const db = await openTestDatabase()
  const batchId = await addBatch(db, 4)
  const answers = [
    { repetition: 0.1, perplexity: 4 },
    { repetition: 0.9, perplexity: null },
    { repetition: null, perplexity: 200 },
  ]
  const results = answers.map((quality, i) => resultOf({ batchId, line: i + 1, quality }))
  const same = resultOf({ batchId, line: 4, source: 'identical', quality: { repetition: 0.9, perplexity: 9 } })
  const quality = { repetition: 0.5, perplexity: 100 }
  const commit = (of: typeof results) => commitEvents({ db, events: [eventOf(of)], quality })
  await commit(results.slice(0, 2))
  await commit(results)
  await commit([same, ...results.slice(2)])
  const rows = await db.query<{ measure: string; answers: number; total: number; over: number; buckets: number[] }>(
    'SELECT measure, answers, total, over, buckets FROM batch_quality WHERE batch_id = $1 ORDER BY measure',
    [batchId],
  )
  expect(rows.map(({ buckets: _, ...row }) => row)).toEqual([
    { measure: 'perplexity', answers: 2, total: 204, over: 1 },
    { measure: 'repetition', answers: 2, total: 1, over: 1 },
  ])
  const [, repetition] = rows
  expect(repetition && describeSpread('repetition', repetition)).toEqual({ mean: 0.5, p95: 0.9 })
  expect(repetition?.buckets.flatMap((count, step) => (count > 0 ? [step] : []))).toEqual([5, 45])
})
