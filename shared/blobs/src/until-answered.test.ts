import { ManualClock } from '@forebay/kernel'
import { expect, it } from 'vitest'
import { untilAnswered } from './until-answered.ts'

it('aborts work that does not settle in time', async () => {
  const clock = new ManualClock()
  const answer = untilAnswered({
    clock,
    limitMs: 1_000,
    work: (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  })
  await Promise.all([expect(answer).rejects.toThrow(/aborted/), clock.advance(1_000)])
})

it('never aborts what was answered in time, however slowly it is read', async () => {
  const clock = new ManualClock()
  const signal = await untilAnswered({ clock, limitMs: 1_000, work: async (given) => given })
  await clock.advance(3_600_000)
  expect(signal.aborted).toBe(false)
})
