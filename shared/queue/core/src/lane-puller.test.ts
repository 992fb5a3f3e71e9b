import { ForebayError, ManualClock, silentLogger } from '@forebay/kernel'
import { makeMemoryProvider } from '@forebay/queue-memory'
import { describe, expect, it, onTestFinished } from 'vitest'
import { makeJsonCodec } from './codec.ts'
import type { LeasedJob } from './job.ts'
import { LanePuller } from './lane-puller.ts'
import { JobReceiver } from './receiver.ts'
import { makeJobSender } from './sender.ts'

const codec = makeJsonCodec<{ n: number }>({ parse: (value) => value as { n: number } })

function setUp(seats: Record<string, number>) {
  const clock = new ManualClock()
  const provider = makeMemoryProvider({ clock })
  const got: string[] = []
  const lanes = Object.keys(seats).map((name) => {
    const driver = provider.queue(`test.${name}`)
    const receiver = new JobReceiver({ driver, codec, clock, logger: silentLogger, leaseMs: 60_000, maxAttempts: 3 })
    const sender = makeJobSender({ driver, codec, clock })
    const onJob = (leased: LeasedJob<{ n: number }>) => {
      got.push(`${name}:${leased.id}`)
      seats[name] = (seats[name] ?? 0) - 1
    }
    return { name, driver, receiver, sender, want: () => seats[name] ?? 0, onJob }
  })
  const puller = new LanePuller({ lanes, clock, logger: silentLogger })
  onTestFinished(async () => {
    await puller.stop()
    for (const lane of lanes) await lane.receiver.stop()
  })
  const send = (name: string, ...ids: string[]) =>
    lanes.find((lane) => lane.name === name)?.sender.send(ids.map((id) => ({ id, job: { n: 1 } })))
  return { clock, lanes, puller, send, got, seats }
}

describe('LanePuller', () => {
  it('never lets a full lane delay another, and takes no more than wanted', async () => {
    const { clock, got, puller, seats, send } = setUp({ realtime: 2, batch: 1 })
    await send('batch', 'b1', 'b2', 'b3')
    puller.start()
    puller.start()
    await clock.advance(1)
    expect(got).toEqual(['batch:b1'])
    await send('realtime', 'r1', 'r2', 'r3')
    await clock.advance(1)
    expect(got).toEqual(['batch:b1', 'realtime:r1', 'realtime:r2'])
    seats['batch'] = 1
    puller.wake()
    await clock.advance(1)
    expect(got.at(-1)).toBe('batch:b2')
  })

  it('takes nothing from a lane whose seats went while it waited', async () => {
    const { clock, got, lanes, puller, seats, send } = setUp({ batch: 4 })
    puller.start()
    await clock.advance(1)
    seats['batch'] = 0
    puller.wake()
    await send('batch', 'b1')
    await clock.advance(60_000)
    expect(got).toEqual([])
    expect((await lanes[0]?.driver.depth())?.visible).toBe(1)
  })

  it('backs off from a broker that is away and pulls again when it is back', async () => {
    const { clock, got, lanes, puller, send } = setUp({ batch: 4 })
    const driver = lanes[0]?.driver
    if (!driver) throw new Error('no lane')
    const receive = driver.receive.bind(driver)
    let calls = 0
    driver.receive = async () => {
      calls++
      throw new ForebayError('unavailable', 'The broker is away.')
    }
    puller.start()
    await clock.advance(60_000)
    expect(calls).toBeGreaterThan(5)
    expect(calls).toBeLessThan(40)
    driver.receive = receive
    await send('batch', 'b1')
    await clock.advance(5_000)
    expect(got).toEqual(['batch:b1'])
  })

  it('stops while polling, idle or backing off', async () => {
    const { clock, puller } = setUp({ realtime: 3, batch: 0 })
    puller.start()
    await clock.advance(1)
    await puller.stop()
    await puller.stop()
  })
})
