import { expect, it } from 'vitest'
import { makeBatcher } from './batcher.ts'

/**
 * Runs a batch through an engine that says nothing of itself, on simulated time; answers the ceiling in the end.
 * `answerMs` is how long an answer takes with so many requests in the engine.
 */
function ceilingOf(answerMs: (inEngine: number) => number, refusesAbove = Number.POSITIVE_INFINITY): number {
  const batcher = makeBatcher({ seats: { start: 8, max: 256, untold: true }, realtimeSeats: 0 })
  let nowMs = 1_000_000
  for (let i = 0; i < 6_000; i++) {
    batcher.add(
      {
        id: `r${i}`,
        lane: 'batch',
        model: 'm',
        batchId: 'b',
        prefixGroup: 0,
        bytes: 400,
        estTokens: 200,
        deadlineMs: 1e13,
        streams: false,
      },
      { nowMs },
    )
  }
  const running = new Map<string, number>()
  const usage = { promptTokens: 100, completionTokens: 100, cachedTokens: null, reasoningTokens: 0 }
  const startAll = () => {
    for (const { id } of batcher.admit(nowMs)) {
      if (running.size >= refusesAbove) {
        batcher.refused(nowMs, 500)
        batcher.finished(id, null, nowMs)
      } else running.set(id, nowMs + answerMs(running.size + 1))
    }
  }
  startAll()
  while (running.size > 0) {
    const [id, dueMs] = [...running].reduce((first, each) => (each[1] < first[1] ? each : first))
    nowMs = Math.max(nowMs, dueMs)
    running.delete(id)
    batcher.finished(id, usage, nowMs)
    startAll()
  }
  return batcher.counts().ceiling
}

it('gives an engine without metrics ever more while its answers do not slow down', () => {
  expect(ceilingOf(() => 1_000)).toBeGreaterThan(128)
})

it('stops about where an engine without metrics begins to queue', () => {
  const seats = 20
  const found = ceilingOf((inEngine) => 1_000 * Math.max(1, inEngine / seats))
  expect(found).toBeGreaterThanOrEqual(seats)
  expect(found).toBeLessThan(3 * seats)
})

it('stays below what an engine without metrics refuses', () => {
  expect(ceilingOf(() => 1_000, 40)).toBeLessThan(60)
})
