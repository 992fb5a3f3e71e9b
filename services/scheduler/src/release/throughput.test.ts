import { expect, test } from 'vitest'
import { type ChunkProgress, Throughput } from './throughput.ts'

const chunk = (over: Partial<ChunkProgress>): ChunkProgress => ({
  ...{ key: 'b.0', batchId: 'b', lane: 'p.batch', estTokens: 1000, doneTokens: 0, attempt: 1, releasedAtMs: 0 },
  ...over,
})

test('the rate of a lane is what its chunks get done, also those that end between two looks', () => {
  const throughput = new Throughput()
  const open = () => true
  throughput.observe(0, [], open)
  throughput.observe(1000, [chunk({ doneTokens: 400, releasedAtMs: 500 })], open)
  expect(throughput.rate('p.batch')).toBe(400)
  throughput.observe(2000, [chunk({ key: 'b.1', lane: 'q.batch' })], open)
  expect(throughput.rate('p.batch')).toBeGreaterThan(400)
  expect(throughput.rate('q.batch')).toBe(0)
})

test('what was done before the first look, or by chunks of a batch that is gone, counts for nothing', () => {
  const throughput = new Throughput()
  throughput.observe(0, [chunk({ doneTokens: 900, releasedAtMs: -5000 })], () => true)
  throughput.observe(1000, [], () => false)
  expect(throughput.rate('p.batch')).toBe(0)
})
