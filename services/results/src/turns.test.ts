import { ManualClock } from '@forebay/kernel'
import { expect, it } from 'vitest'
import { makeTurns } from './turns.ts'

const setUp = () => {
  const clock = new ManualClock()
  const turns = makeTurns({ clock, gapMs: 100 })
  const taken: number[] = []
  const startMs = clock.now()
  const stopping = new AbortController()
  const take = () => turns.take(stopping.signal).then(() => void taken.push(clock.now() - startMs))
  return { clock, stopping, take, taken, turns }
}

it('gives the first turn at once and those asked for too soon after it the gap apart', async () => {
  const { clock, take, taken } = setUp()
  const all = [take(), take(), take()]
  await clock.advance(1_000)
  await Promise.all(all)
  expect(taken).toEqual([0, 100, 200])
})

it('gives a turn at once after a pause', async () => {
  const { clock, take, taken } = setUp()
  await take()
  await clock.advance(250)
  await take()
  expect(taken).toEqual([0, 250])
})

it('gives the next turn at once when told to hurry, and those after it the gap apart again', async () => {
  const { clock, take, taken, turns } = setUp()
  await take()
  await clock.advance(10)
  turns.hurry()
  const all = [take(), take()]
  await clock.advance(1_000)
  await Promise.all(all)
  expect(taken).toEqual([0, 10, 110])
})

it('keeps nobody waiting who stops', async () => {
  const { stopping, take } = setUp()
  await take()
  const waiting = take()
  stopping.abort(new Error('stopping'))
  await expect(waiting).rejects.toThrow('stopping')
})
