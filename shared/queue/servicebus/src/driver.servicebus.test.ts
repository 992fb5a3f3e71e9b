import { ServiceBusClient } from '@azure/service-bus'
import { type ServicebusEmulator, startServicebusEmulator } from '@forebay/emulators'
import { ManualClock, silentLogger, systemClock } from '@forebay/kernel'
import { dropJobs, JobReceiver, makeJsonCodec } from '@forebay/queue-core'
import type { QueueProvider } from '@forebay/queue-port'
import { eventually, freePort } from '@forebay/test-support'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { makeServicebusProvider } from './provider.ts'

const leaseMs = 10_000
const open = (url: string) => makeServicebusProvider({ url, clock: systemClock, logger: silentLogger, leaseMs })
const body = new TextEncoder().encode('{}')

let emulator: ServicebusEmulator
let provider: QueueProvider

beforeAll(async () => {
  emulator = await startServicebusEmulator()
  provider = await open(emulator.url)
})
afterAll(async () => {
  await provider?.close()
  await emulator?.stop()
})

async function fresh(name: string) {
  const queue = provider.queue(name)
  await queue.ensure()
  return queue
}

function rawClient() {
  const keys = 'SharedAccessKeyName=emulator;SharedAccessKey=emulator;UseDevelopmentEmulator=true'
  const client = new ServiceBusClient(`Endpoint=${emulator.endpoint};${keys}`)
  onTestFinished(() => client.close())
  return client
}

describe('queue driver Service Bus alone', () => {
  it('splits what Service Bus would refuse, and receives it again through one lock each', async () => {
    const queue = await fresh('split')
    const big = Array.from({ length: 12 }, (_, i) => ({ id: `big-${i}`, body: Buffer.alloc(100_000, 120) }))
    const small = Array.from({ length: 600 }, (_, i) => ({ id: `small-${i}`, body }))
    expect((await queue.send([...big, ...small])).filter((r) => !r.ok)).toEqual([])
    const seen = new Set<string>()
    await eventually(
      async () => {
        const leases = await queue.receive({ max: 200, waitMs: 1_000, leaseMs })
        for (const { id } of leases) seen.add(id)
        await queue.ack(leases)
        return seen.size === 612
      },
      { what: 'every message' },
    )
  })

  it('rides out a little throttling, and says `overloaded` when it lasts', async () => {
    const queue = await fresh('throttled')
    emulator.throttle(1)
    expect(await queue.send([{ id: 'a', body }])).toEqual([{ id: 'a', ok: true }])
    emulator.throttle(100)
    onTestFinished(() => emulator.throttle(0))
    expect(await queue.send([{ id: 'b', body }])).toMatchObject([{ error: { code: 'overloaded', retryable: true } }])
  })

  it('counts attempts and keeps the age of a message over copies and locks', async () => {
    const queue = await fresh('copies')
    await queue.send([{ id: 'a', body, attributes: { tenant: 't1' } }])
    const receive = async () => (await queue.receive({ max: 1, waitMs: 5_000, leaseMs }))[0]
    const first = await receive()
    if (first) await queue.nack(first, { delayMs: 20 })
    const second = await receive()
    if (second) await queue.nack(second, { delayMs: 0 })
    const third = await receive()
    expect([first?.attempt, second?.attempt, third?.attempt]).toEqual([1, 2, 3])
    expect([third?.id, third?.enqueuedAt, third?.attributes]).toEqual(['a', first?.enqueuedAt, { tenant: 't1' }])
  })

  it.each([
    ['bytes', Buffer.from([0, 1, 255])],
    ['a value', { not: ['a', 'job'] }],
    ['a text', 'hello'],
  ])('dead-letters a foreign body of %s unchanged, with its reason', async (kind, foreign) => {
    const name = `foreign-${kind.replace(' ', '-')}`
    const queue = await fresh(name)
    const client = rawClient()
    await client.createSender(`forebay.${name}`).sendMessages({ body: foreign, applicationProperties: { size: 3 } })
    const schema = {
      parse() {
        throw new Error('no job')
      },
    }
    const receiver = new JobReceiver({
      driver: queue,
      codec: makeJsonCodec(schema),
      clock: systemClock,
      logger: silentLogger,
      leaseMs,
      maxAttempts: 3,
    })
    expect(await receiver.receive({ max: 1, waitMs: 5_000 })).toEqual([])
    await receiver.stop()
    const settings = { subQueueType: 'deadLetter', maxAutoLockRenewalDurationInMs: 0 } as const
    const dead = client.createReceiver(`forebay.${name}`, settings)
    const [message] = await dead.receiveMessages(1, { maxWaitTimeInMs: 5_000 })
    expect(message?.body).toEqual(foreign)
    expect([message?.deadLetterReason, message?.applicationProperties?.['size']]).toEqual(['undecodable', 3])
  })

  it('content is found where the broker itself has put it, among dead letters', async () => {
    // As an operator may have made it: ours allow a thousand deliveries, and the attempts are counted above.
    emulator.createQueue('forebay.native', { lockMs: 60_000 })
    const queue = await fresh('native')
    await queue.send([{ id: 'a', body: Buffer.from('{"asked":"what"}') }])
    const client = rawClient()
    const dead = client.createReceiver('forebay.native', { subQueueType: 'deadLetter' })
    await eventually(
      async () => {
        const [lease] = await queue.receive({ max: 1, waitMs: 200, leaseMs })
        if (lease) await queue.nack(lease, { delayMs: 0 })
        return (await queue.depth()).dead === 1
      },
      { what: 'the broker to have had enough of it', timeoutMs: 8_000 },
    )
    const [message] = await dead.peekMessages(1)
    expect([message?.deadLetterReason, message?.body]).toEqual(['MaxDeliveryCountExceeded', { asked: 'what' }])
    const codec = makeJsonCodec({ parse: (value: unknown) => value })
    const drop = { driver: queue, codec, clock: systemClock, logger: silentLogger, leaseMs, drop: () => true }
    expect(await dropJobs({ ...drop, dead: 10, whole: true })).toBe(1)
    expect(await queue.depth()).toMatchObject({ visible: 0, inFlight: 0, dead: 0 })
  })

  it('refuses a queue whose settings would lose or repeat jobs, and names the setting', async () => {
    emulator.createQueue('forebay.duplicates', { requiresDuplicateDetection: true })
    emulator.createQueue('forebay.short', { lockMs: 5_000 })
    emulator.createQueue('forebay.fine', { lockMs: 60_000 })
    await expect(provider.queue('duplicates').ensure()).rejects.toMatchObject({
      code: 'queue_invalid',
      message: expect.stringContaining('duplicates'),
    })
    await expect(provider.queue('short').ensure()).rejects.toThrow(/5000 ms.*10000 ms.*lock duration/)
    await provider.queue('fine').ensure()
  })

  it('verifies a queue it may not create, and names a missing one and the role', async () => {
    await fresh('given')
    emulator.denyManagement(['PUT', 'GET'])
    onTestFinished(() => emulator.denyManagement([]))
    await provider.queue('given').ensure()
    await expect(provider.queue('not.given').ensure()).rejects.toMatchObject({
      code: 'queue_denied',
      message: expect.stringMatching(/"forebay\.not\.given".*Data Owner/),
    })
    await expect(provider.queue('given').depth()).rejects.toMatchObject({ code: 'queue_denied' })
  })

  it('says that a queue is missing, or that nobody answers', async () => {
    expect(await provider.queue('absent').send([{ id: 'a', body }])).toMatchObject([{ error: { code: 'not_found' } }])
    const port = await freePort()
    const nowhere = await open(`servicebus://n?endpoint=sb://127.0.0.1:${port}&admin=http://127.0.0.1:${port}`)
    onTestFinished(() => nowhere.close())
    expect(await nowhere.queue('a').send([{ id: 'a', body }])).toMatchObject([{ error: { code: 'unavailable' } }])
  })

  it.each([
    ['servicebus:', 'no host'],
    ['servicebus://n?endpoint=http://x', 'sb://'],
    ['servicebus://n?key=x', '"key"'],
  ])('refuses the URL %s and shows a right one', async (url, fault) => {
    await expect(open(url)).rejects.toMatchObject({ code: 'config_invalid', message: expect.stringContaining(fault) })
    await expect(open(url)).rejects.toThrow('servicebus://my-namespace/forebay')
  })

  it('leaves a delay of any length to Service Bus', async () => {
    const clock = new ManualClock()
    const slow = await startServicebusEmulator({ clock })
    const own = await makeServicebusProvider({ url: slow.url, clock, logger: silentLogger, leaseMs: 60_000 })
    onTestFinished(async () => {
      await Promise.all([own.close(), clock.advance(10_000)])
      await slow.stop()
    })
    const queue = own.queue('slow')
    await queue.ensure()
    const look = async () => {
      const [lease] = await queue.receive({ max: 1, waitMs: 0, leaseMs: 60_000 })
      return lease && `${lease.id} ${lease.attempt}`
    }
    await queue.send([{ id: 'later', body, delayMs: 30 * 24 * 3_600_000 }])
    await clock.advance(30 * 24 * 3_600_000 - 1)
    expect(await look()).toBe(undefined)
    expect(await queue.depth()).toMatchObject({ visible: 0, inFlight: 0, delayed: 1, dead: 0 })
    await clock.advance(1)
    expect(await look()).toBe('later 1')
    await clock.advance(60_000)
    expect(await look()).toBe('later 2')
  })

  it('refuses a name that Service Bus would not take', () => {
    expect(() => provider.queue('ends.')).toThrow(/Service Bus/)
  })
})
