import { randomBytes } from 'node:crypto'
import { type Clock, systemClock } from '@forebay/kernel'
import type { QueueDriver, QueueProvider } from '@forebay/queue-port'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { contentCases } from './content.ts'
import { deadLetterCases } from './dead-letters.ts'
import { enduranceCases } from './endurance.ts'
import { type DriverExpectations, type Harness, leaseMs, longLeaseMs } from './harness.ts'
import { jobCases } from './jobs.ts'
import { laneCases } from './lanes.ts'
import { leaseCases } from './leases.ts'
import { sendingCases } from './sending.ts'

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
    let first: QueueProvider
    let second: QueueProvider
    const opened: QueueProvider[] = []
    let made = 0

    beforeAll(async () => {
      first = await open({ leaseMs })
      second = expectations.network ? await open({ leaseMs }) : first
    })
    afterAll(async () => {
      await Promise.all(used.map((queue) => queue.purge().catch(() => undefined)))
      await first?.close()
      await second?.close()
      await Promise.all(opened.map((provider) => provider.close()))
    })

    const harness: Harness = {
      expectations,
      async fresh() {
        const queue = first.queue(`test-${run}.q${made++}`)
        await queue.ensure()
        used.push(queue)
        return queue
      },
      elsewhere: (queue) => second.queue(queue.name),
      async patient() {
        const name = `test-${run}.q${made++}`
        const providers = [await open({ leaseMs: longLeaseMs })]
        if (expectations.network) providers.push(await open({ leaseMs: longLeaseMs }))
        opened.push(...providers)
        const queues = providers.map((provider) => provider.queue(name))
        await queues[0]?.ensure()
        const [one = first.queue(name), other = one] = queues
        used.push(one)
        return [one, other]
      },
      provider: () => open({ leaseMs }),
      async onWrongClock(queue, offMs) {
        const clock: Clock = { ...systemClock, now: () => systemClock.now() + offMs }
        const provider = await makeProvider({ leaseMs, clock })
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
      expect(first.queue(`test-${run}.same`)).toBe(first.queue(`test-${run}.same`))
      expect(() => first.queue('a:b')).toThrow(/letters, digits/)
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
