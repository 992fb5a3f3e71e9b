import { expect, test } from 'vitest'
import { judgeChunk, type LaneView, type OutChunk } from './judge-chunk.ts'

const nowMs = 10_000_000
const chunk = (more: Partial<OutChunk> = {}): OutChunk => ({
  entries: 64,
  attempt: 1,
  releasedAtMs: nowMs - 30_000,
  done: 0,
  lastSeenAtMs: null,
  returnedAttempt: 0,
  ...more,
})
const lane = (more: Partial<LaneView> = {}): LaneView => ({
  nowMs,
  chunkLeaseMs: 60_000,
  windowMs: 30_000,
  depth: { waiting: 10, inFlight: 4 },
  seenReleasedAtMs: 0,
  resultsBehindAtMs: 0,
  ...more,
})

test('a chunk is done when all its requests are', () => {
  expect(judgeChunk(chunk({ done: 64, returnedAttempt: 1 }), lane())).toBe('done')
})

test('a chunk handed back is released again at once, one handed back again and again more slowly', () => {
  expect(judgeChunk(chunk({ returnedAttempt: 1, lastSeenAtMs: nowMs }), lane())).toBe('returned')
  const often = { attempt: 8, returnedAttempt: 8, lastSeenAtMs: nowMs - 5000 }
  expect(judgeChunk(chunk(often), lane())).toBe('out')
  expect(judgeChunk(chunk({ ...often, lastSeenAtMs: nowMs - 30_000 }), lane())).toBe('returned')
  expect(judgeChunk(chunk({ attempt: 2, returnedAttempt: 1 }), lane())).toBe('out')
})

test('a chunk whose worker falls silent for longer than the lease is lost', () => {
  const heard = (agoMs: number) => chunk({ releasedAtMs: nowMs - 300_000, lastSeenAtMs: nowMs - agoMs })
  expect(judgeChunk(heard(59_000), lane())).toBe('out')
  expect(judgeChunk(heard(61_000), lane())).toBe('silent')
})

test('a chunk nobody has taken waits as long as its job may still be on the broker', () => {
  const old = chunk({ releasedAtMs: nowMs - 300_000 })
  expect(judgeChunk(old, lane())).toBe('out')
  expect(judgeChunk(old, lane({ depth: undefined }))).toBe('out')
  expect(judgeChunk(chunk({ releasedAtMs: nowMs - 700_000 }), lane())).toBe('unseen')
})

test('a chunk nobody has taken is lost within seconds when the broker is empty', () => {
  const empty = lane({ depth: { waiting: 0, inFlight: 0 } })
  expect(judgeChunk(chunk({ releasedAtMs: nowMs - 4000 }), empty)).toBe('out')
  expect(judgeChunk(chunk({ releasedAtMs: nowMs - 6000 }), empty)).toBe('unseen')
})

test('a chunk nobody has taken is lost after a lease when younger ones are under way', () => {
  const old = chunk({ releasedAtMs: nowMs - 61_000 })
  expect(judgeChunk(old, lane({ seenReleasedAtMs: nowMs - 60_000 }))).toBe('out')
  expect(judgeChunk(old, lane({ seenReleasedAtMs: nowMs - 40_000 }))).toBe('unseen')
})

test('silence while results are not read proves nothing, for a while', () => {
  const behind = lane({ depth: { waiting: 0, inFlight: 0 }, resultsBehindAtMs: nowMs - 1000 })
  expect(judgeChunk(chunk(), behind)).toBe('out')
  expect(judgeChunk(chunk({ releasedAtMs: nowMs - 99_000, lastSeenAtMs: nowMs - 98_000 }), behind)).toBe('out')
  expect(judgeChunk(chunk({ releasedAtMs: nowMs - 700_000 }), behind)).toBe('unseen')
})
