import type { Usage } from '@forebay/contracts'
import { expect, it } from 'vitest'
import { makeBatcher } from './batcher.ts'
import type { BatcherRequest } from './request.ts'

const usage: Usage = { promptTokens: 100, completionTokens: 50, cachedTokens: 0, reasoningTokens: 0 }
const request = (id: string, deadlineMs: number, lane: 'realtime' | 'batch' = 'realtime'): BatcherRequest => ({
  ...{ id, lane, model: 'm', batchId: null, prefixGroup: 0, bytes: 400, estTokens: 150 },
  ...{ deadlineMs, streams: false },
})

/** A batcher of two seats that has seen live requests take a second each. */
function setUp() {
  const batcher = makeBatcher({ seats: { start: 2, max: 2 } })
  for (let i = 0; i < 4; i++) {
    batcher.add(request(`known-${i}`, 1e12), { nowMs: i * 1_000 })
    batcher.admit(i * 1_000)
    batcher.finished(`known-${i}`, usage, (i + 1) * 1_000)
  }
  return batcher
}
const startMs = 10_000

it('tells which waiting live requests cannot be in time, and when there may be room; what can be stays', () => {
  const batcher = setUp()
  for (let i = 0; i < 2; i++) batcher.add(request(`runs-${i}`, startMs + 60_000), { nowMs: startMs })
  expect(batcher.admit(startMs)).toHaveLength(2)
  expect(batcher.hopeless(startMs)).toEqual([])
  // Two seconds of patience: 0.5 s a place and 1 s of its own.
  for (let i = 0; i < 8; i++) batcher.add(request(`waits-${i}`, startMs + 2_000), { nowMs: startMs })
  batcher.add(request('patient', startMs + 60_000), { nowMs: startMs })
  const found = batcher.hopeless(startMs)
  expect(found.map(({ id }) => id)).toEqual(['waits-3', 'waits-4', 'waits-5', 'waits-6', 'waits-7'])
  for (const { retryAfterMs } of found) expect(retryAfterMs).toBe(1_000)
  for (const { id } of found) batcher.remove(id)
  // Nothing ended for a second: one more is too late, and hears so when that is clear.
  expect(batcher.nextDueMs(startMs)).toBeLessThanOrEqual(startMs + 250)
  expect(batcher.hopeless(startMs + 1_000).map(({ id }) => id)).toEqual(['waits-0', 'waits-1', 'waits-2'])
})

it('refuses none that batch work will make room for, and none before it knows how long they take', () => {
  const busy = setUp()
  for (let i = 0; i < 2; i++) busy.add(request(`b${i}`, 1e12, 'batch'), { nowMs: startMs + 120_000 })
  expect(busy.admit(startMs + 120_000)).toHaveLength(2)
  for (let i = 0; i < 2; i++) busy.add(request(`l${i}`, startMs + 122_500), { nowMs: startMs + 120_000 })
  busy.admit(startMs + 120_000)
  expect(busy.hopeless(startMs + 120_000)).toEqual([])
  const fresh = makeBatcher({ seats: { start: 1, max: 1 } })
  for (let i = 0; i < 9; i++) fresh.add(request(`r${i}`, startMs + 10), { nowMs: startMs })
  fresh.admit(startMs)
  expect(fresh.hopeless(startMs)).toEqual([])
})
