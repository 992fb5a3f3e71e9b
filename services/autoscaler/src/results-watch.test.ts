import { ManualClock } from '@forebay/kernel'
import { expect, it } from 'vitest'
import { makeResultsWatch } from './results-watch.ts'

it('says with the numbers that results wait and nobody counts them, and is quiet again once somebody does', async () => {
  const clock = new ManualClock(1_000_000)
  const watch = makeResultsWatch({ clock })
  expect(watch.trouble('a', { waiting: 40, committed: false })).toBeUndefined()
  await clock.advance(25_000)
  expect(watch.trouble('a', { waiting: 90, committed: false })).toMatch(/^has 90 result events .* counted for 25 s/)
  expect(watch.trouble('b', { waiting: 90, committed: false })).toBeUndefined()
  expect(watch.trouble('a', { waiting: 90, committed: true })).toBeUndefined()
  expect(watch.trouble('a', { waiting: 90, committed: false })).toBeUndefined()
  await clock.advance(60_000)
  expect(watch.trouble('a', { waiting: 0, committed: false })).toBeUndefined()
})
