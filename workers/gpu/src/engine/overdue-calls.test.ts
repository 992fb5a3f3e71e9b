import { expect, it } from 'vitest'
import { makeOverdueCalls } from './overdue-calls.ts'

const lookMs = 250

/** Looks each quarter of a second at an engine that gives each of 40 running requests a token in 20 ms. */
function watch() {
  const overdue = makeOverdueCalls({ lostMs: 20_000 })
  let [nowMs, made, id] = [1_000_000, 0, 1_000]
  return {
    send: (own: number, outputTokens: number) => overdue.sent(own, { nowMs, outputTokens }),
    overdue,
    looks(seconds: number, told: { waiting?: number; preempted?: number; madeEach?: number } = {}) {
      const { madeEach = lookMs / 20, preempted = 0, waiting = 0 } = told
      for (let at = 0; at < seconds * 4; at++) {
        // Hundreds of others come and go meanwhile.
        for (let i = 0; i < 100; i++) {
          overdue.sent(++id, { nowMs, outputTokens: 50 })
          overdue.ended(id - 40)
        }
        nowMs += lookMs
        made += madeEach * 40
        const counts = { running: 40, waiting, preemptions: preempted * at, generationTokens: made }
        const found = overdue.observe({ atMs: nowMs, ...counts })
        if (found.length > 0) return { found, afterMs: (at + 1) * lookMs }
      }
      return { found: [], afterMs: seconds * 1_000 }
    },
  }
}

it('finds within 30 s the call that hangs while hundreds a second are answered', () => {
  const { looks, send } = watch()
  looks(5)
  send(1, 50)
  const { afterMs, found } = looks(60)
  expect(found).toEqual([1])
  expect(afterMs).toBeLessThanOrEqual(30_000)
})

it('gives an answer ten times the length it was expected to have', () => {
  const { looks, send } = watch()
  looks(1)
  send(1, 400)
  expect(looks(79).found).toEqual([])
  expect(looks(5).found).toEqual([1])
})

it.each([
  ['requests wait inside the engine', { waiting: 1 }],
  ['the engine takes seats away', { preempted: 1 }],
  ['the engine makes no tokens', { madeEach: 0 }],
  ['counts are of several engines', { madeEach: 1_000 }],
])('finds none while %s: a request may be there and not have run', (_, told) => {
  const { looks, send } = watch()
  looks(1)
  send(1, 50)
  expect(looks(120, told).found).toEqual([])
})

it('leaves alone a call whose answer has begun', () => {
  const { looks, overdue, send } = watch()
  send(1, 50)
  overdue.answered(1)
  expect(looks(60).found).toEqual([])
})

it('begins anew when the engine was started anew', () => {
  const { looks, overdue, send } = watch()
  looks(1)
  send(1, 50)
  expect(looks(19).found).toEqual([])
  overdue.observe({ atMs: 1_020_001, running: 0, waiting: 0, preemptions: 0, generationTokens: 0 })
  expect(looks(9).found).toEqual([])
})
