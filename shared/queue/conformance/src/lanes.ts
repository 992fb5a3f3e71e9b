import { silentLogger, systemClock } from '@forebay/kernel'
import { JobReceiver, LanePuller, type LeasedJob, makeJsonCodec, shareSeats } from '@forebay/queue-core'
import { eventually } from '@forebay/test-support'
import { expect, it, onTestFinished } from 'vitest'
import { type Harness, leaseMs, messages } from './harness.ts'

const names = ['realtime', 'standard', 'batch'] as const
type Name = (typeof names)[number]
type Taken = LeasedJob<unknown>

const seats = 8
// Kept for each lane, whatever the others have to do; realtime's also while it has nothing.
const floors: Record<Name, number> = { realtime: 2, standard: 1, batch: 1 }

/** Several queues pulled by one consumer with few seats, as a worker pulls its lanes. */
export function laneCases(h: () => Harness): void {
  it('keeps realtime’s seats free while batch fills the others, lets it overtake, and starves no lane', async () => {
    const { finish, held, isSettled, puller, received, send, total } = await setUp(h())
    let done = 0
    await send('batch', 18)
    puller.start()
    await eventually(() => held('batch').length === seats - floors.realtime, { what: 'batch to fill its seats' })

    // Nothing has ended, so these can only run in seats that were kept.
    await send('realtime', floors.realtime)
    puller.wake()
    await eventually(() => held('realtime').length === floors.realtime, { what: 'realtime to get its seats' })
    expect(held('batch').length).toBe(seats - floors.realtime)

    // A backlog in every lane, realtime's the youngest; in each round one job of each lane ends.
    await send('standard', 16)
    await send('realtime', 16)
    const before = { standard: received('standard'), batch: received('batch') }
    let afterRealtime: Record<Name, number> | undefined
    while (done < total()) {
      for (const name of names) if (await finish(name)) done++
      puller.wake()
      await eventually(isSettled, { what: 'every free seat that is not kept to be taken' })
      expect(held().length).toBeLessThanOrEqual(seats)
      if (received('realtime') < 18) {
        expect(held('standard').length).toBeGreaterThanOrEqual(floors.standard)
        expect(held('batch').length).toBeGreaterThanOrEqual(floors.batch)
      } else afterRealtime ??= { realtime: 18, standard: received('standard'), batch: received('batch') }
    }
    // Batch and standard went on meanwhile, and were overtaken all the same.
    expect(afterRealtime?.standard).toBeGreaterThan(before.standard)
    expect(afterRealtime?.batch).toBeGreaterThan(before.batch)
    expect(afterRealtime?.standard).toBeLessThan(16)
    expect(afterRealtime?.batch).toBeLessThan(18)
    expect(names.map(received)).toEqual([18, 16, 18])
  })
}

async function setUp(harness: Harness) {
  const sent: Record<Name, number> = { realtime: 0, standard: 0, batch: 0 }
  const seen: Record<Name, Set<string>> = { realtime: new Set(), standard: new Set(), batch: new Set() }
  const running: Record<Name, Taken[]> = { realtime: [], standard: [], batch: [] }
  const lanes = await Promise.all(
    names.map(async (name, i) => {
      const driver = await harness.fresh()
      const receiver = new JobReceiver<unknown>({
        driver,
        codec: makeJsonCodec({ parse: (value: unknown) => value }),
        clock: systemClock,
        logger: silentLogger,
        leaseMs,
        maxAttempts: 5,
      })
      const onJob = (leased: Taken) => {
        seen[name].add(leased.id)
        running[name].push(leased)
      }
      return { name, driver, receiver, onJob, want: () => wants()[i] ?? 0 }
    }),
  )
  const laneOf = (name: Name) => lanes[names.indexOf(name)]
  const held = (name?: Name) => (name ? running[name] : Object.values(running).flat())
  const backlog = (name: Name) => sent[name] - seen[name].size
  /** Free seats, shared out among the lanes by what they hold and what waits in them. */
  const wants = () =>
    shareSeats({
      seats: seats - held().length,
      floors: names.map((name) => floors[name] - running[name].length),
      demand: names.map((name) =>
        name === 'realtime' ? Math.max(backlog(name), floors[name] - running[name].length) : backlog(name),
      ),
    })
  const puller = new LanePuller<unknown>({ lanes, clock: systemClock, logger: silentLogger })
  onTestFinished(async () => {
    await puller.stop()
    await Promise.all(lanes.map(({ receiver }) => receiver.stop()))
  })
  return {
    puller,
    held,
    /** No lane may take more of what waits in it. */
    isSettled: () => wants().every((want, i) => Math.min(want, backlog(names[i] ?? 'batch')) === 0),
    received: (name: Name) => seen[name].size,
    total: () => names.reduce((sum, name) => sum + sent[name], 0),
    async send(name: Name, count: number) {
      const results = await laneOf(name)?.driver.send(messages(count, `${name}-${sent[name]}`))
      expect(results?.every(({ ok }) => ok)).toBe(true)
      sent[name] += count
    },
    /** Ends the job of a lane that runs longest; false when none does. */
    async finish(name: Name) {
      const leased = running[name].shift()
      if (leased) await laneOf(name)?.receiver.settle(leased, { kind: 'done' })
      return leased !== undefined
    },
  }
}
