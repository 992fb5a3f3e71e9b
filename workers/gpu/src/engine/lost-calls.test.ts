import { expect, it } from 'vitest'
import { makeLostCalls } from './lost-calls.ts'

const lookMs = 250

/** Looks each quarter of a second at an engine that tells of `told` requests; what was found, and after how long. */
function watch() {
  const lost = makeLostCalls({ lostMs: 20_000 })
  let nowMs = 1_000_000
  const look = (told: number) => {
    nowMs += lookMs
    return lost.observe({ atMs: nowMs, running: told, waiting: 0 })
  }
  return {
    send: (id: number, limitMs = 60_000) => lost.sent(id, { nowMs, limitMs }),
    end: (id: number) => lost.ended(id),
    answered: (id: number) => lost.answered(id),
    /** Up to so many seconds; ends with the first that are found. */
    looks(seconds: number, told: (at: number) => number, each: (at: number) => void = () => {}) {
      for (let at = 0; at < seconds * 4; at++) {
        each(at)
        const found = look(told(at))
        if (found.length > 0) return { found, afterMs: (at + 1) * lookMs }
      }
      return { found: [], afterMs: seconds * 1_000 }
    },
  }
}

it('finds the call that the engine never had, within 30 s, and leaves an older one alone that it has', () => {
  const { looks, send } = watch()
  send(1)
  looks(1, () => 1)
  send(2)
  const { afterMs, found } = looks(60, () => 1)
  expect(found).toEqual([2])
  expect(afterMs).toBeLessThanOrEqual(30_000)
  expect(looks(15, () => 1).found).toEqual([])
})

it('finds one that the engine had and lost by how much of its time it has used up', () => {
  const { looks, send } = watch()
  send(1, 600_000)
  send(2)
  looks(1, () => 2)
  expect(looks(60, () => 1).found).toEqual([2])
})

it('finds one beside others that are sent and answered all the while', () => {
  const { end, looks, send } = watch()
  for (let id = 1; id <= 10; id++) send(id)
  looks(1, () => 10)
  send(11)
  // Eight a second: a new one comes as the oldest ends.
  let [oldest, newest] = [1, 100]
  const churn = () => {
    for (let i = 0; i < 2; i++) {
      end(oldest)
      oldest = oldest === 10 ? 101 : oldest + 1
      send(++newest)
    }
  }
  const { afterMs, found } = looks(60, () => 10, churn)
  expect(found).toEqual([11])
  expect(afterMs).toBeLessThanOrEqual(30_000)
})

it('leaves long calls alone that the engine knows of, now and then one less than there are', () => {
  const { looks, send } = watch()
  for (let id = 1; id <= 8; id++) send(id)
  expect(looks(3_600, (at) => (at % 10 === 0 ? 8 : 7)).found).toEqual([])
})

it('finds none whose answer has begun', () => {
  const { answered, looks, send } = watch()
  send(1)
  looks(1, () => 1)
  answered(1)
  expect(looks(60, () => 0).found).toEqual([])
})

it('does not judge by an engine that tells of a part only, nor while so many come that some are always on their way', () => {
  const part = watch()
  for (let id = 1; id <= 8; id++) part.send(id)
  expect(part.looks(300, () => 4).found).toEqual([])
  const busy = watch()
  for (let id = 1; id <= 50; id++) busy.send(id)
  busy.looks(1, () => 50)
  let next = 100
  const churn = () => {
    for (let i = 0; i < 100; i++) {
      busy.send(++next)
      busy.end(next)
    }
  }
  expect(busy.looks(60, () => 48, churn).found).toEqual([])
})
