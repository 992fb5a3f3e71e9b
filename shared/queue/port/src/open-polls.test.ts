import { ManualClock } from '@forebay/kernel'
import { describe, expect, it } from 'vitest'
import type { Lease } from './messages.ts'
import { OpenPolls } from './open-polls.ts'

const lease = (id: string): Lease => ({
  id,
  body: new Uint8Array(),
  attributes: {},
  attempt: 1,
  enqueuedAt: 0,
  leaseUntil: 0,
})

function bench() {
  const clock = new ManualClock()
  const returned: string[] = []
  const arrivals: ((leases: readonly Lease[]) => void)[] = []
  const polls = new OpenPolls({
    clock,
    async giveBack(leases) {
      returned.push(...leases.map(({ id }) => id))
    },
  })
  const wait = (max: number, signal?: AbortSignal, waitMs = 10_000) =>
    polls.wait({ max, leaseMs: 1_000, waitMs, signal, start: () => new Promise((resolve) => arrivals.push(resolve)) })
  return { clock, polls, wait, returned, arrivals }
}

describe('OpenPolls', () => {
  it('answers an abort at once, and gives back what the poll brings afterwards', async () => {
    const { arrivals, returned, wait } = bench()
    const abort = new AbortController()
    const waiting = wait(10, abort.signal)
    abort.abort()
    expect(await waiting).toEqual([])
    arrivals[0]?.([lease('late')])
    await expect.poll(() => returned).toEqual(['late'])
  })

  it('hands a poll that was left to the next consumer, unless it could bring more than that one asks', async () => {
    const { arrivals, clock, wait } = bench()
    const left = wait(5, undefined, 1_000)
    await clock.advance(1_000)
    expect(await left).toEqual([])
    const smaller = wait(3)
    const same = wait(5)
    expect(arrivals.length).toBe(2)
    arrivals[0]?.([lease('a')])
    arrivals[1]?.([lease('b')])
    expect([(await same)[0]?.id, (await smaller)[0]?.id]).toEqual(['a', 'b'])
  })

  it('closes at once when nothing is open, else waits its grace for what open polls bring', async () => {
    const idle = bench()
    await idle.polls.close(60_000)
    const { arrivals, clock, polls, returned, wait } = bench()
    const waiting = [wait(1), wait(2)]
    let closed = false
    const closing = polls.close(1_000).then(() => {
      closed = true
    })
    expect(await Promise.all(waiting)).toEqual([[], []])
    arrivals[0]?.([lease('late')])
    await clock.advance(999)
    expect([returned, closed]).toEqual([['late'], false])
    await clock.advance(1)
    await closing
    expect(await wait(1)).toEqual([])
  })
})
