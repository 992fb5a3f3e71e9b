import { type PubsubEmulator, startPubsubEmulator } from '@forebay/emulators'
import { ManualClock, silentLogger, systemClock } from '@forebay/kernel'
import { JobReceiver, makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import type { Lease, QueueProvider } from '@forebay/queue-port'
import { eventually, freePort } from '@forebay/test-support'
import { PubSub, v1 } from '@google-cloud/pubsub'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { makePubsubProvider } from './provider.ts'

const leaseMs = 10_000
const open = (url: string) => makePubsubProvider({ url, clock: systemClock, logger: silentLogger, leaseMs })
const codec = makeJsonCodec({ parse: (value: unknown) => value })
const body = new TextEncoder().encode('{}')

let emulator: PubsubEmulator
let provider: QueueProvider

beforeAll(async () => {
  emulator = await startPubsubEmulator()
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

describe('queue driver Pub/Sub alone', () => {
  it('splits what Pub/Sub would refuse, and lets only the unfit message fail', async () => {
    const queue = await fresh('split')
    const big = Array.from({ length: 3 }, (_, i) => ({ id: `big-${i}`, body: Buffer.alloc(5_000_000, 120) }))
    const small = Array.from({ length: 1_100 }, (_, i) => ({ id: `small-${i}`, body }))
    const unfit = { id: 'unfit', body, attributes: { long: 'x'.repeat(2_000) } }
    const results = await queue.send([...big, unfit, ...small])
    expect(results.filter((r) => !r.ok).map((r) => r.id)).toEqual(['unfit'])
    const seen = new Set<string>()
    await eventually(
      async () => {
        const leases = await queue.receive({ max: 1_000, waitMs: 1_000, leaseMs })
        for (const { id } of leases) seen.add(id)
        await queue.ack(leases)
        return seen.size === 1_103
      },
      { what: 'every fit message' },
    )
  })

  it('says `overloaded` while Pub/Sub throttles', async () => {
    const queue = await fresh('throttled')
    emulator.throttle(2)
    expect(await queue.send([{ id: 'a', body }])).toMatchObject([{ error: { code: 'overloaded', retryable: true } }])
    await expect(queue.receive({ max: 1, waitMs: 0, leaseMs })).rejects.toMatchObject({ code: 'overloaded' })
    expect(await queue.send([{ id: 'b', body }])).toEqual([{ id: 'b', ok: true }])
  })

  it('dead-letters a foreign message unchanged, with the reason readable beside it', async () => {
    const queue = await fresh('foreign')
    const config = await new PubSub({
      projectId: 'test-project',
      apiEndpoint: emulator.host,
      emulatorMode: true,
    }).getClientConfig()
    const options = { ...config, clientOptions: { universeDomain: 'googleapis.com' } } as ConstructorParameters<
      typeof v1.SubscriberClient
    >[0]
    const [publisher, subscriber] = [new v1.PublisherClient(options), new v1.SubscriberClient(options)]
    onTestFinished(() => Promise.all([publisher.close(), subscriber.close()]).then(() => undefined))
    const message = { data: Buffer.from([0, 1, 255]), attributes: { source: 'somebody' } }
    await publisher.publish({ topic: 'projects/test-project/topics/forebay.foreign', messages: [message] })
    const receiver = new JobReceiver({
      driver: queue,
      codec,
      clock: systemClock,
      logger: silentLogger,
      leaseMs,
      maxAttempts: 3,
    })
    expect(await receiver.receive({ max: 1, waitMs: 2_000 })).toEqual([])
    await receiver.stop()
    const subscription = 'projects/test-project/subscriptions/forebay.foreign~dead'
    const [{ receivedMessages }] = await subscriber.pull({ subscription, maxMessages: 1 })
    const dead = receivedMessages?.[0]?.message
    expect([...Buffer.from(dead?.data ?? '')]).toEqual([0, 1, 255])
    expect(dead?.attributes).toMatchObject({ source: 'somebody', 'forebay-dead-code': 'undecodable' })
  })

  it('verifies what it may not create, and names what is missing and the permission', async () => {
    await fresh('given')
    emulator.deny(['CreateTopic', 'CreateSubscription'])
    onTestFinished(() => emulator.deny([]))
    const other = await open(emulator.url)
    onTestFinished(() => other.close())
    await other.queue('given').ensure()
    await expect(other.queue('not.given').ensure()).rejects.toMatchObject({
      code: 'queue_denied',
      message: expect.stringMatching(/topics\/forebay\.not\.given~dead".*pubsub\.topics\.create/),
    })
  })

  it('says that a queue is missing, may not be used, or that nobody answers', async () => {
    expect(await provider.queue('absent').send([{ id: 'a', body }])).toMatchObject([{ error: { code: 'not_found' } }])
    const queue = await fresh('refused')
    emulator.deny(['Publish'])
    onTestFinished(() => emulator.deny([]))
    expect(await queue.send([{ id: 'a', body }])).toMatchObject([{ error: { code: 'queue_denied' } }])
    const nowhere = await open(`pubsub://test-project?endpoint=127.0.0.1:${await freePort()}`)
    onTestFinished(() => nowhere.close())
    await expect(nowhere.queue('a').ensure()).rejects.toMatchObject({ code: 'unavailable' })
    await expect(nowhere.queue('a').depth()).rejects.toThrow(/tells no depth.*monitoring=/)
  })

  it.each([
    ['pubsub:', 'no host'],
    ['pubsub://p/goog', 'prefix "goog"'],
    ['pubsub://p?region=x', '"region"'],
  ])('refuses the URL %s and shows a right one', async (url, fault) => {
    await expect(open(url)).rejects.toMatchObject({ code: 'config_invalid', message: expect.stringContaining(fault) })
    await expect(open(url)).rejects.toThrow('pubsub://my-project/forebay')
  })
})

describe('queue driver Pub/Sub on simulated time', () => {
  async function bench() {
    const clock = new ManualClock()
    const slow = await startPubsubEmulator({ clock })
    const first = await makePubsubProvider({ url: slow.url, clock, logger: silentLogger, leaseMs: 60_000 })
    onTestFinished(async () => {
      await Promise.all([first.close(), clock.advance(10_000)])
      await slow.stop()
    })
    const queue = first.queue('slow')
    await queue.ensure()
    return { clock, queue }
  }
  const look = { max: 1, waitMs: 0, leaseMs: 60_000 }
  const idOf = ([lease]: readonly Lease[]) => lease && `${lease.id} ${lease.attempt}`

  it('holds a delayed message itself, so that waiting uses up no attempt', async () => {
    const { clock, queue } = await bench()
    await queue.send([{ id: 'later', body, delayMs: 300_000 }])
    expect(await queue.receive(look)).toEqual([])
    expect(await queue.depth()).toMatchObject({ visible: 0, inFlight: 0, delayed: 1 })
    await clock.advance(299_999)
    expect(await queue.receive(look)).toEqual([])
    await clock.advance(1)
    expect(idOf(await queue.receive(look))).toBe('later 1')
  })

  it('leaves a delayed message that nobody asks for in time to others, one attempt later', async () => {
    const { clock, queue } = await bench()
    await queue.send([{ id: 'later', body, delayMs: 300_000 }])
    expect(await queue.receive(look)).toEqual([])
    await clock.advance(360_000)
    expect(idOf(await queue.receive(look))).toBe('later 2')
  })

  it('delivers a job delayed for longer than Pub/Sub can, when it is due, as a first attempt', async () => {
    const { clock, queue } = await bench()
    const receiver = new JobReceiver({
      driver: queue,
      codec,
      clock,
      logger: silentLogger,
      leaseMs: 60_000,
      maxAttempts: 2,
    })
    await makeJobSender({ driver: queue, codec, clock }).send([{ id: 'far', job: {}, delayMs: 15 * 60_000 }])
    const jobs = async () =>
      (await receiver.receive({ max: 1, waitMs: 0 })).map(({ attempt, id }) => `${id} ${attempt}`)
    for (let minute = 0; minute < 15; minute++) {
      expect(await jobs()).toEqual([])
      await clock.advance(60_000)
    }
    expect(await jobs()).toEqual(['far 1'])
    await receiver.stop()
  })
})
