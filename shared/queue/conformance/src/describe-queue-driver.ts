import { randomBytes } from 'node:crypto'
import { type Clock, systemClock } from '@forebay/kernel'
import type { QueueDriver, QueueProvider } from '@forebay/queue-port'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { contentCases } from './content.ts'
import { deadLetterCases } from './dead-letters.ts'
import { enduranceCases } from './endurance.ts'
import { briefLeaseMs, type DriverExpectations, type Harness, leaseMs } from './harness.ts'
import { jobCases } from './jobs.ts'
import { laneCases } from './lanes.ts'
import { leaseCases } from './leases.ts'
import { sendingCases } from './sending.ts'

type Pair = readonly [QueueProvider, QueueProvider]

/**
 * The suite every queue driver passes. `makeProvider` opens a provider on the same broker each time it is called;
 * the suite makes queues of its own names and closes what it opened.
 */
export function describeQueueDriver(
  name: string,
  makeProvider: (options: { leaseMs: number; clock: Clock }) => Promise<QueueProvider>,
  expectations: DriverExpectations,
): void {
  describe(`queue driver ${name}`, () => {
    const open = (options: { leaseMs: number }) => makeProvider({ ...options, clock: systemClock })
    const run = randomBytes(4).toString('hex')
    const used: QueueDriver[] = []
    /** Two providers a length of lease: two processes of one broker, where it has such a thing. */
    let usual: Pair
    let brief: Pair
    const briefOnes = new Set<QueueDriver>()
    const opened: QueueProvider[] = []
    let made = 0

    const openPair = async (leaseMs: number): Promise<Pair> => {
      const one = await open({ leaseMs })
      opened.push(one)
      if (!expectations.network) return [one, one]
      const other = await open({ leaseMs })
      opened.push(other)
      return [one, other]
    }
    const makeQueue = async ([one]: Pair) => {
      const queue = one.queue(`test-${run}.q${made++}`)
      await queue.ensure()
      used.push(queue)
      return queue
    }
    beforeAll(async () => {
      usual = await openPair(leaseMs)
      brief = await openPair(briefLeaseMs)
    })
    afterAll(async () => {
      await Promise.all(used.map((queue) => queue.purge().catch(() => undefined)))
      await Promise.all(opened.map((provider) => provider.close()))
    })

    const harness: Harness = {
      expectations,
      fresh: () => makeQueue(usual),
      async brief() {
        const queue = await makeQueue(brief)
        briefOnes.add(queue)
        return queue
      },
      elsewhere: (queue) => (briefOnes.has(queue) ? brief : usual)[1].queue(queue.name),
      provider: () => open({ leaseMs }),
      async onWrongClock(queue, offMs) {
        const clock: Clock = { ...systemClock, now: () => systemClock.now() + offMs }
        const provider = await makeProvider({ leaseMs: briefLeaseMs, clock })
        opened.push(provider)
        return provider.queue(queue.name)
      },
    }
    const h = () => harness

    it('declares the capabilities expected of it', async () => {
      const { capabilities } = await harness.fresh()
      const { reportsLostLease, uncountedNack } = expectations
      expect(capabilities).toMatchObject({ reportsLostLease, uncountedNack })
    })
    it('answers one driver per name and refuses a name no broker would take', () => {
      const [provider] = usual
      expect(provider.queue(`test-${run}.same`)).toBe(provider.queue(`test-${run}.same`))
      expect(() => provider.queue('a:b')).toThrow(/letters, digits/)
    })
    describe('sending', () => sendingCases(h))
    describe('leases', () => leaseCases(h))
    describe('dead letters', () => deadLetterCases(h))
    describe('content', () => contentCases(h))
    describe('jobs', () => jobCases(h))
    describe('lanes', () => laneCases(h))
    describe('endurance', () => enduranceCases(h))
  })
}
