import type { Usage } from '@forebay/contracts'
import { expect, it } from 'vitest'
import { makeBatcher } from './batcher.ts'
import type { Batcher } from './gate.ts'
import type { BatcherRequest, EngineSample } from './request.ts'

let serial = 0
const fixed = (count: number) => ({ start: count, max: count })
const request = (fields: Partial<BatcherRequest> = {}): BatcherRequest => ({
  id: `r${++serial}`,
  lane: 'batch',
  model: 'm',
  batchId: 'batch_a',
  prefixGroup: 0,
  bytes: 400,
  estTokens: 200,
  deadlineMs: 1e12,
  streams: false,
  ...fields,
})
const live = (fields: Partial<BatcherRequest> = {}) =>
  request({ lane: 'realtime', batchId: null, streams: true, ...fields })
const sample = (fields: Partial<EngineSample> = {}): EngineSample => ({
  atMs: 0,
  running: 0,
  waiting: 0,
  kvUsage: 0.1,
  kvTokens: null,
  preemptions: 0,
  promptTokens: 0,
  cachedTokens: 0,
  generationTokens: 0,
  steps: null,
  ...fields,
})
const usage = (promptTokens: number, completionTokens: number): Usage => ({
  promptTokens,
  completionTokens,
  cachedTokens: null,
  reasoningTokens: 0,
})
const ids = (requests: readonly BatcherRequest[]) => requests.map((r) => r.id)
function fill(batcher: Batcher, count: number, fields: Partial<BatcherRequest> = {}): BatcherRequest[] {
  const made = Array.from({ length: count }, () => request(fields))
  for (const r of made) batcher.add(r, { nowMs: 0 })
  return made
}

it('never lets in more than the ceiling, and batch work never takes the realtime seats', () => {
  const batcher = makeBatcher({ seats: fixed(16), realtimeSeats: 4 })
  fill(batcher, 50)
  expect(batcher.admit(0)).toHaveLength(12)
  for (let i = 0; i < 8; i++) batcher.add(live(), { nowMs: 0 })
  expect(batcher.admit(0)).toHaveLength(4)
  expect(batcher.admit(0)).toHaveLength(0)
  expect(batcher.counts().inFlight).toEqual({ realtime: 4, standard: 0, batch: 12 })
})

it('leaves a seat to each lane that has work, so that none starves', () => {
  const batcher = makeBatcher({ seats: fixed(16), realtimeSeats: 4 })
  for (let i = 0; i < 99; i++) batcher.add(live(), { nowMs: 0 })
  fill(batcher, 99, { lane: 'standard' })
  fill(batcher, 99)
  // Everything ends over and over: each lane must have had its turn.
  const served = { realtime: 0, standard: 0, batch: 0 }
  const running = new Map<string, BatcherRequest>()
  const flood = (lane: BatcherRequest['lane']) =>
    batcher.add(request({ lane, batchId: lane === 'realtime' ? null : 'b' }), { nowMs: 0 })
  for (let round = 0; round < 30; round++) {
    for (const lane of ['realtime', 'standard', 'batch'] as const) for (let i = 0; i < 16; i++) flood(lane)
    for (const r of batcher.admit(round * 200)) running.set(r.id, r)
    for (const r of running.values()) {
      served[r.lane]++
      batcher.finished(r.id, null, 0)
    }
    running.clear()
  }
  expect(served.standard).toBeGreaterThan(0)
  expect(served.batch).toBeGreaterThan(0)
  expect(served.realtime).toBeGreaterThan(served.batch)
})

it('keeps estimated tokens within nine tenths of the KV cache', () => {
  const batcher = makeBatcher({ seats: fixed(100) })
  batcher.observe(sample({ kvTokens: 10_000 }))
  fill(batcher, 100)
  expect(batcher.admit(0)).toHaveLength(45)
  expect(batcher.counts().tokens).toBeLessThanOrEqual(9_000)
})

it('keeps as many seats and tokens free as live requests took lately, and gives them back in time', () => {
  const batcher = makeBatcher({ seats: fixed(100) })
  batcher.observe(sample({ kvTokens: 16_000 }))
  const crowd = Array.from({ length: 40 }, () => live())
  for (const r of crowd) batcher.add(r, { nowMs: 0 })
  expect(batcher.admit(0)).toHaveLength(40)
  for (const r of crowd) batcher.finished(r.id, usage(100, 100), 100)
  fill(batcher, 200)
  const admitAll = (fromMs: number) => {
    for (let ms = fromMs; ms < fromMs + 20_000; ms += 100) batcher.admit(ms)
    return batcher.counts().inFlight.batch
  }
  const soon = admitAll(1_000)
  expect(soon).toBeGreaterThan(5)
  expect(soon).toBeLessThanOrEqual(72 - 30)
  // A minute later nothing is kept: nine tenths of 16,000 tokens, 200 each.
  expect(admitAll(120_000)).toBe(72)
})

it('runs a request larger than the whole budget, alone', () => {
  const batcher = makeBatcher({ seats: fixed(10), realtimeSeats: 0 })
  batcher.observe(sample({ kvTokens: 1_000 }))
  const [small] = fill(batcher, 1)
  const [large] = fill(batcher, 1, { estTokens: 50_000 })
  expect(ids(batcher.admit(0))).toEqual([small?.id])
  batcher.finished(small?.id ?? '', null, 0)
  expect(ids(batcher.admit(0))).toEqual([large?.id])
})

it('learns output lengths of a batch from usage and lets in more once it knows them', () => {
  const batcher = makeBatcher({ seats: fixed(100), realtimeSeats: 0 })
  batcher.observe(sample({ kvTokens: 10_000 }))
  fill(batcher, 2_000, { estTokens: 1_100 })
  let running = batcher.admit(0)
  expect(running).toHaveLength(8)
  for (let round = 0; round < 5; round++) {
    for (const r of running) batcher.finished(r.id, usage(100, 20), 0)
    running = batcher.admit(0)
  }
  expect(running.length).toBeGreaterThan(50)
})

it('runs prefix groups back to back, within them in plan order', () => {
  const batcher = makeBatcher({ seats: fixed(1), realtimeSeats: 0 })
  const order = [1, 2, 1, 0, 2, 1].map((prefixGroup) => fill(batcher, 1, { prefixGroup })[0]?.id)
  const seen: string[] = []
  for (let i = 0; i < 6; i++) {
    const [r] = batcher.admit(0)
    seen.push(r?.id ?? '')
    batcher.finished(r?.id ?? '', null, 0)
  }
  expect(seen).toEqual([0, 2, 5, 1, 4, 3].map((i) => order[i]))
})

it('serves realtime requests by deadline', () => {
  const batcher = makeBatcher({ seats: fixed(1), realtimeSeats: 0 })
  for (const deadlineMs of [30, 10, 20]) batcher.add(live({ id: `d${deadlineMs}`, deadlineMs }), { nowMs: 0 })
  const seen = [0, 1, 2].map(() => {
    const [r] = batcher.admit(0)
    batcher.finished(r?.id ?? '', null, 0)
    return r?.id
  })
  expect(seen).toEqual(['d10', 'd20', 'd30'])
})

it('holds batch work back, but for its floor, while requests wait inside the engine beside live ones', () => {
  const batcher = makeBatcher({ seats: fixed(100) })
  fill(batcher, 50)
  batcher.observe(sample({ atMs: 1_000, waiting: 9 }))
  const waiting = live()
  batcher.add(waiting, { nowMs: 1_000 })
  const lanes = [1_100, 1_200, 1_300, 1_400].flatMap((ms) => batcher.admit(ms).map((r) => r.lane))
  expect(lanes).toEqual(['realtime', 'batch'])
  batcher.progressed(waiting.id, 1_500)
  batcher.observe(sample({ atMs: 1_500, waiting: 0 }))
  expect(batcher.admit(1_500).length).toBeGreaterThan(1)
})

it('gives batch work every seat when no live request is about', () => {
  const batcher = makeBatcher({ seats: fixed(100) })
  fill(batcher, 150)
  expect(batcher.admit(0)).toHaveLength(100)
})

it('finds the seats of an engine: more while none waits inside, fewer when it takes no more, and at a refusal', () => {
  const batcher = makeBatcher({ seats: { start: 8, max: 1_024 } })
  fill(batcher, 4_000)
  let atMs = 0
  const look = (seats: number) => {
    atMs += 5_000
    batcher.admit(atMs)
    const { batch } = batcher.counts().inFlight
    batcher.observe(sample({ atMs, running: Math.min(seats, batch), waiting: Math.max(0, batch - seats) }))
  }
  for (let i = 0; i < 12; i++) look(100)
  expect(batcher.counts().ceiling).toBeGreaterThanOrEqual(100)
  expect(batcher.counts().ceiling).toBeLessThan(150)
  const before = batcher.counts().ceiling
  batcher.refused(atMs, 3_000)
  batcher.refused(atMs, 3_000)
  expect(batcher.counts().ceiling).toBe(Math.floor(before * 0.7))
  expect(batcher.nextDueMs(atMs)).toBe(atMs + 3_000)
})

it('names the youngest batch requests to be put back when realtime has no seat, and never twice at once', () => {
  const batcher = makeBatcher({ seats: fixed(8), realtimeSeats: 2 })
  fill(batcher, 5)
  batcher.admit(0)
  const [youngest] = fill(batcher, 1)
  batcher.admit(10)
  for (let i = 0; i < 3; i++) batcher.add(live(), { nowMs: 20 })
  expect(batcher.admit(20)).toHaveLength(2)
  expect(batcher.victims(20)).toEqual([youngest?.id])
  expect(batcher.victims(20)).toEqual([])
  batcher.finished(youngest?.id ?? '', null, 0)
  if (youngest) batcher.add(youngest, { nowMs: 21, first: true })
  expect(batcher.admit(21).map((r) => r.lane)).toEqual(['realtime'])
})

it('keeps a request back until its back-off is over, then lets it go first', () => {
  const batcher = makeBatcher({ seats: fixed(1), realtimeSeats: 0 })
  const again = request()
  batcher.add(again, { nowMs: 0, notBeforeMs: 500 })
  expect(batcher.nextDueMs(0)).toBe(500)
  expect(batcher.admit(499)).toEqual([])
  fill(batcher, 3)
  expect(ids(batcher.admit(500))).toEqual([again.id])
})

it('runs suspects few at a time, twice as many after each that survives, one again after a death', () => {
  const batcher = makeBatcher({ seats: fixed(20), realtimeSeats: 0 })
  const suspects = Array.from({ length: 8 }, () => request())
  for (const r of suspects) batcher.add(r, { nowMs: 0, suspicion: 1 })
  const first = batcher.admit(0)
  expect(first).toHaveLength(1)
  batcher.finished(first[0]?.id ?? '', usage(1, 1), 0)
  batcher.suspectEnded(true)
  const second = batcher.admit(0)
  expect(second).toHaveLength(2)
  for (const r of second) batcher.finished(r.id, null, 0)
  batcher.suspectEnded(false)
  expect(batcher.admit(0)).toHaveLength(1)
})

it('runs a suspect on its last attempt with no other batch work beside it', () => {
  const batcher = makeBatcher({ seats: fixed(10), realtimeSeats: 2 })
  const [running] = fill(batcher, 1)
  batcher.admit(0)
  const last = request()
  batcher.add(last, { nowMs: 0, suspicion: 2 })
  fill(batcher, 5)
  expect(batcher.admit(0)).toEqual([])
  batcher.add(live(), { nowMs: 0 })
  expect(batcher.admit(0).map((r) => r.lane)).toEqual(['realtime'])
  batcher.finished(running?.id ?? '', null, 0)
  expect(ids(batcher.admit(0))).toEqual([last.id])
  expect(batcher.admit(0)).toEqual([])
  batcher.finished(last.id, null, 0)
  expect(batcher.admit(0)).toHaveLength(5)
})

it('takes a waiting request out wherever it waits', () => {
  const batcher = makeBatcher({ seats: fixed(10), realtimeSeats: 0 })
  const [plain] = fill(batcher, 1)
  const delayed = request()
  batcher.add(delayed, { nowMs: 0, notBeforeMs: 100 })
  const suspect = request()
  batcher.add(suspect, { nowMs: 0, suspicion: 1 })
  for (const r of [plain, delayed, suspect]) expect(batcher.remove(r?.id ?? '')).toBe(true)
  expect(batcher.remove('unknown')).toBe(false)
  expect(batcher.admit(1_000)).toEqual([])
})

it('lets the first of a prefix group go ahead, and the others once its prompt should be cached', () => {
  const batcher = makeBatcher({ seats: fixed(10) })
  const group = fill(batcher, 3, { prefixGroup: 7 })
  const [other] = fill(batcher, 1)
  expect(ids(batcher.admit(0))).toEqual([group[0]?.id, other?.id])
  const dueMs = batcher.nextDueMs(0) ?? 0
  expect(dueMs).toBeGreaterThan(0)
  expect(ids(batcher.admit(dueMs))).toContain(group[1]?.id)
})

it('counts a prompt that is found cached as little work', () => {
  const batcher = makeBatcher({ seats: fixed(1) })
  const followers = fill(batcher, 10, { prefixGroup: 7 })
  for (const r of followers) {
    batcher.admit(0)
    batcher.finished(r.id, { ...usage(100, 10), cachedTokens: 80 }, 0)
  }
  expect(batcher.estimate(request({ prefixGroup: 7 })).freshTokens).toBeLessThan(60)
  expect(batcher.estimate(request()).freshTokens).toBe(100)
})

it('paces batch prompts beside live requests, and not without them', () => {
  const admittedBeside = (isLive: boolean) => {
    const batcher = makeBatcher({ seats: fixed(100), objective: { ttftP99Ms: 60 } })
    const chat = live()
    if (isLive) {
      batcher.add(chat, { nowMs: 0 })
      batcher.admit(0)
      batcher.progressed(chat.id, 20)
    }
    fill(batcher, 50, { bytes: 8_000, estTokens: 2_100 })
    return batcher.admit(30).length
  }
  expect(admittedBeside(false)).toBe(50)
  expect(admittedBeside(true)).toBeLessThanOrEqual(2)
})
