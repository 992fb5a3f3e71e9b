import { ForebayError, ManualClock, silentLogger } from '@forebay/kernel'
import { makeMemoryProvider } from '@forebay/queue-memory'
import type { DriverCapabilities } from '@forebay/queue-port'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { BodyStore } from './body-store.ts'
import { makeJsonCodec } from './codec.ts'
import { JobReceiver } from './receiver.ts'
import { makeJobSender } from './sender.ts'

interface Job {
  n: number
  pad?: string
}

const codec = makeJsonCodec<Job>({
  parse(value) {
    if (typeof value !== 'object' || value === null || !('n' in value)) throw new TypeError('not a Job')
    return { ...value, n: Number(value.n) }
  },
})

function memoryBodies(): BodyStore & { readonly stored: Map<string, Uint8Array> } {
  const stored = new Map<string, Uint8Array>()
  return {
    stored,
    put: async (key, body) => void stored.set(key, body),
    async get(key) {
      const body = stored.get(key)
      if (!body) throw new ForebayError('not_found', `No body ${key}.`)
      return body
    },
    delete: async (key) => void stored.delete(key),
  }
}

function setUp(options: { capabilities?: Partial<DriverCapabilities>; maxAttempts?: number } = {}) {
  const clock = new ManualClock()
  const provider = makeMemoryProvider({ clock, capabilities: options.capabilities ?? {} })
  const driver = provider.queue('test.batch')
  const bodies = memoryBodies()
  const receiver = new JobReceiver<Job>({
    driver,
    codec,
    clock,
    logger: silentLogger,
    leaseMs: 3_000,
    maxAttempts: options.maxAttempts ?? 3,
    bodies,
    retry: { firstMs: 100, maxMs: 100 },
  })
  onTestFinished(() => receiver.stop())
  const sender = makeJobSender<Job>({ driver, codec, bodies, clock })
  const take = async () => {
    const [job] = await receiver.receive({ max: 1, waitMs: 0 })
    if (!job) throw new Error('no job was there')
    return job
  }
  const none = async () => expect(await receiver.receive({ max: 10, waitMs: 0 })).toEqual([])
  return { clock, driver, bodies, receiver, sender, take, none }
}

describe('JobReceiver', () => {
  it('hands out what was sent, and removes it when done, once', async () => {
    const { driver, receiver, sender, take } = setUp()
    await sender.send([{ id: 'a', job: { n: 7 } }])
    const leased = await take()
    expect(leased).toMatchObject({ id: 'a', job: { n: 7 }, attempt: 1 })
    await Promise.all([receiver.settle(leased, { kind: 'done' }), receiver.settle(leased, { kind: 'done' })])
    await receiver.settle(leased, { kind: 'retry', delayMs: 0 })
    expect(await driver.depth()).toMatchObject({ visible: 0, inFlight: 0, delayed: 0, dead: 0 })
  })

  it('retries after the delay until the last attempt, then dead-letters with the reason', async () => {
    const { clock, driver, receiver, sender, take, none } = setUp({ maxAttempts: 3 })
    await sender.send([{ id: 'a', job: { n: 1 } }])
    for (const attempt of [1, 2, 3]) {
      const leased = await take()
      expect(leased.attempt).toBe(attempt)
      await receiver.settle(leased, { kind: 'retry', delayMs: 500, reason: 'engine said no' })
      await none()
      await clock.advance(500)
    }
    await none()
    expect(driver.deadReasons()).toEqual([{ id: 'a', code: 'max_attempts', detail: 'attempt 3 of 3: engine said no' }])
  })

  it('dead-letters on request', async () => {
    const { driver, receiver, sender, take } = setUp()
    await sender.send([{ id: 'a', job: { n: 1 } }])
    await receiver.settle(await take(), { kind: 'dead', code: 'model_not_found' })
    expect(driver.deadReasons()).toMatchObject([{ id: 'a', code: 'model_not_found' }])
  })

  it('dead-letters what it cannot decode and what crashed its holders too often, and never hands them out', async () => {
    const { clock, driver, none, sender } = setUp({ maxAttempts: 2 })
    await sender.send([{ id: 'crasher', job: { n: 1 } }])
    for (let i = 0; i < 2; i++) {
      await driver.receive({ max: 1, waitMs: 0, leaseMs: 1_000 })
      await clock.advance(1_000)
    }
    await driver.send([
      { id: 'foreign', body: new TextEncoder().encode('{"x":1}') },
      { id: 'garbage', body: Uint8Array.from([255, 254]) },
    ])
    await none()
    const codes = new Map(driver.deadReasons().map(({ code, id }) => [id, code]))
    expect(Object.fromEntries(codes)).toEqual({
      crasher: 'max_attempts',
      foreign: 'undecodable',
      garbage: 'undecodable',
    })
  })

  it.each([{ uncountedNack: true }, { uncountedNack: false }])(
    'snoozes without using up an attempt, on a broker with %o',
    async (capabilities) => {
      const { clock, driver, none, receiver, sender, take } = setUp({ capabilities, maxAttempts: 2 })
      await sender.send([{ id: 'a', job: { n: 1 } }])
      const { enqueuedAt } = await take().then(async (leased) => {
        await receiver.settle(leased, { kind: 'retry', delayMs: 0 })
        return leased
      })
      for (let i = 0; i < 5; i++) {
        const leased = await take()
        expect(leased).toMatchObject({ attempt: 2, enqueuedAt })
        await receiver.settle(leased, { kind: 'snooze', delayMs: 1_000 })
        await none()
        await clock.advance(1_000)
      }
      await receiver.settle(await take(), { kind: 'done' })
      expect(await driver.depth()).toMatchObject({ visible: 0, inFlight: 0, delayed: 0, dead: 0 })
    },
  )

  it.each([{ uncountedNack: true }, { uncountedNack: false }])(
    'keeps a delay longer than the broker’s longest, on a broker with %o',
    async (extra) => {
      const { clock, none, sender, take } = setUp({ capabilities: { ...extra, delayMsMax: 1_000 } })
      await sender.send([{ id: 'a', job: { n: 1 }, delayMs: 3_500 }])
      for (let i = 0; i < 3; i++) {
        await none()
        await clock.advance(1_000)
      }
      await none()
      await clock.advance(500)
      expect((await take()).attempt).toBe(1)
    },
  )

  it('carries a body over the broker’s limit through the body store, and deletes it when done', async () => {
    const { bodies, receiver, sender, take } = setUp({ capabilities: { bodyBytesMax: 100 } })
    const pad = 'x'.repeat(200)
    expect(await sender.send([{ id: 'big', job: { n: 1, pad } }])).toEqual([{ id: 'big', ok: true }])
    expect(bodies.stored.size).toBe(1)
    const leased = await take()
    expect(leased.job.pad).toBe(pad)
    await receiver.settle(leased, { kind: 'done' })
    expect(bodies.stored.size).toBe(0)
  })

  it('retries a job whose body cannot be read, and dead-letters it in the end', async () => {
    const { bodies, clock, driver, none, sender } = setUp({ capabilities: { bodyBytesMax: 10 }, maxAttempts: 2 })
    await sender.send([{ id: 'big', job: { n: 12_345 } }])
    bodies.stored.clear()
    await none()
    await clock.advance(100)
    await none()
    expect(driver.deadReasons()).toMatchObject([{ id: 'big', code: 'max_attempts' }])
  })

  it('sets a job aside whose body is gone, and says so, long before its last attempt', async () => {
    const { bodies, clock, driver, none, sender } = setUp({ capabilities: { bodyBytesMax: 10 }, maxAttempts: 100 })
    await sender.send([{ id: 'big', job: { n: 12_345 } }])
    bodies.stored.clear()
    for (let tries = 0; tries < 5; tries++) {
      await none()
      await clock.advance(100)
    }
    expect(driver.deadReasons()).toMatchObject([{ id: 'big', code: 'body_gone' }])
  })

  it('sends the neighbours of a job whose body could not be stored', async () => {
    const { bodies, sender, take } = setUp({ capabilities: { bodyBytesMax: 10 } })
    bodies.put = async () => {
      throw new ForebayError('unavailable', 'The store is away.')
    }
    const results = await sender.send([
      { id: 'big', job: { n: 12_345 } },
      { id: 'small', job: { n: 1 } },
    ])
    expect(results.map((r) => [r.id, r.ok ? 'ok' : r.error.code])).toEqual([
      ['big', 'unavailable'],
      ['small', 'ok'],
    ])
    expect((await take()).id).toBe('small')
  })

  it('extends its leases for as long as it lives', async () => {
    const { clock, driver, sender, take } = setUp()
    await sender.send([{ id: 'a', job: { n: 1 } }])
    const leased = await take()
    for (let i = 0; i < 20; i++) await clock.advance(1_000)
    expect(leased.lost.aborted).toBe(false)
    expect((await driver.depth()).inFlight).toBe(1)
  })

  it('tells the holder that its lease was lost, and lets it settle without harm', async () => {
    const { clock, driver, receiver, sender, take } = setUp()
    await sender.send([{ id: 'a', job: { n: 1 } }])
    const leased = await take()
    driver.extend = async () => {
      throw new ForebayError('unavailable', 'The broker is away.')
    }
    await clock.advance(2_000)
    expect(leased.lost.aborted).toBe(false)
    await clock.advance(1_000)
    expect(leased.lost.aborted).toBe(true)
    await receiver.settle(leased, { kind: 'done' })
    expect((await driver.depth()).visible).toBe(1)
  })

  it('tells of a loss also who asks after it', async () => {
    const { clock, driver, sender, take } = setUp()
    await sender.send([{ id: 'a', job: { n: 1 } }])
    const leased = await take()
    driver.extend = async () => {
      throw new ForebayError('lease_lost', 'Another has it.')
    }
    await clock.advance(1_000)
    expect(leased.lost.aborted).toBe(true)
  })

  it.each([
    { what: 'hands out a job whose body came late, its lease kept meanwhile', extendable: true, handedOut: 1 },
    { what: 'does not hand out a job whose lease was lost while its body came', extendable: false, handedOut: 0 },
  ])('$what', async ({ extendable, handedOut }) => {
    const { bodies, clock, driver, receiver, sender } = setUp({ capabilities: { bodyBytesMax: 10 } })
    await sender.send([{ id: 'big', job: { n: 12_345 } }])
    const { get } = bodies
    let answer = () => {}
    const asked = new Promise<void>((resolve) => {
      answer = resolve
    })
    bodies.get = (key) => asked.then(() => get(key))
    if (!extendable) {
      driver.extend = async () => {
        throw new ForebayError('lease_lost', 'Another has it.')
      }
    }
    const receiving = receiver.receive({ max: 1, waitMs: 0 })
    for (let i = 0; i < 10; i++) await clock.advance(1_000)
    answer()
    expect((await receiving).length).toBe(handedOut)
  })

  it('keeps a job it could not settle, so that settling again works', async () => {
    const { clock, driver, receiver, sender, take } = setUp()
    await sender.send([{ id: 'a', job: { n: 1 } }])
    const leased = await take()
    const ack = driver.ack.bind(driver)
    driver.ack = async () => {
      throw new ForebayError('unavailable', 'The broker is away.')
    }
    await expect(receiver.settle(leased, { kind: 'done' })).rejects.toMatchObject({ code: 'unavailable' })
    driver.ack = ack
    await clock.advance(10_000)
    await receiver.settle(leased, { kind: 'done' })
    expect(await driver.depth()).toMatchObject({ visible: 0, inFlight: 0 })
  })

  it('gives back on stop what was never settled, without using up an attempt', async () => {
    const { driver, receiver, sender, take } = setUp()
    await sender.send([{ id: 'a', job: { n: 1 } }])
    await take()
    await receiver.stop()
    await receiver.stop()
    const [lease] = await driver.receive({ max: 1, waitMs: 0, leaseMs: 1_000 })
    expect(lease?.attempt).toBe(1)
  })
})
