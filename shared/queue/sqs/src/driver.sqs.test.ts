import { ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { type SqsEmulator, startSqsEmulator } from '@forebay/emulators'
import { ManualClock, silentLogger, systemClock } from '@forebay/kernel'
import { JobReceiver, makeJsonCodec } from '@forebay/queue-core'
import type { QueueProvider } from '@forebay/queue-port'
import { freePort } from '@forebay/test-support'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { makeSqsProvider } from './provider.ts'

const leaseMs = 2_000
const open = (url: string) => makeSqsProvider({ url, clock: systemClock, logger: silentLogger, leaseMs })
const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'none',
    (err: { code: string }) => err.code,
  )
const body = new TextEncoder().encode('{}')

let emulator: SqsEmulator
let provider: QueueProvider
let raw: SQSClient
const urlOf = (name: string) =>
  `${emulator.endpoint.replace('127.0.0.1', 'sqs.us-east-1.localhost')}/000000000000/${name}`

beforeAll(async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test')
  emulator = await startSqsEmulator()
  provider = await open(emulator.url)
  raw = new SQSClient({ region: 'us-east-1', endpoint: emulator.endpoint })
})
afterAll(async () => {
  await provider?.close()
  raw?.destroy()
  await emulator?.stop()
  vi.unstubAllEnvs()
})

async function fresh(name: string) {
  const queue = provider.queue(name)
  await queue.ensure()
  return queue
}

describe('queue driver SQS alone', () => {
  it('splits what SQS would refuse: more than ten, more than 1 MiB, and fetches more than ten', async () => {
    const queue = await fresh('split')
    const big = Array.from({ length: 5 }, (_, i) => ({ id: `big-${i}`, body: Buffer.alloc(400_000, 120) }))
    const small = Array.from({ length: 23 }, (_, i) => ({ id: `small-${i}`, body, fairnessKey: `tenant ${i} !` }))
    const results = await queue.send([...big, ...small])
    expect(results.filter((r) => !r.ok)).toEqual([])
    expect((await queue.receive({ max: 25, waitMs: 5_000, leaseMs })).length).toBe(25)
  })

  it('rides out a little throttling, and says `overloaded` when it lasts', async () => {
    const queue = await fresh('throttled')
    emulator.throttle(1)
    expect(await queue.send([{ id: 'a', body }])).toEqual([{ id: 'a', ok: true }])
    emulator.throttle(100)
    const [result] = await queue.send([{ id: 'b', body }])
    expect(result).toMatchObject({ ok: false, error: { code: 'overloaded', retryable: true } })
    expect(await codeOf(queue.receive({ max: 1, waitMs: 0, leaseMs }))).toBe('overloaded')
    emulator.throttle(0)
    const [lease] = await queue.receive({ max: 1, waitMs: 5_000, leaseMs })
    expect(lease?.id).toBe('a')
  })

  it('dead-letters a foreign body unchanged, with the reason readable beside it', async () => {
    const queue = await fresh('foreign')
    const QueueUrl = urlOf('forebay--foreign')
    await raw.send(
      new SendMessageCommand({
        QueueUrl,
        MessageBody: 'hello <there>',
        MessageAttributes: { source: { DataType: 'String', StringValue: 'somebody' } },
      }),
    )
    const codec = makeJsonCodec({ parse: (value: unknown) => value })
    const options = { driver: queue, codec, clock: systemClock, logger: silentLogger, leaseMs, maxAttempts: 3 }
    const receiver = new JobReceiver(options)
    expect(await receiver.receive({ max: 1, waitMs: 5_000 })).toEqual([])
    await receiver.stop()
    const { Messages: [dead] = [] } = await raw.send(
      new ReceiveMessageCommand({ QueueUrl: `${QueueUrl}---dead`, MessageAttributeNames: ['All'] }),
    )
    expect(dead?.Body).toBe('hello <there>')
    const { 'forebay-dead-code': code, source } = dead?.MessageAttributes ?? {}
    expect([code?.StringValue, source?.StringValue]).toEqual(['undecodable', 'somebody'])
  })

  it('verifies queues it may not create, and names a missing one and the permission', async () => {
    await fresh('given')
    emulator.deny(['CreateQueue'])
    onTestFinished(() => emulator.deny([]))
    const other = await open(emulator.url)
    onTestFinished(() => other.close())
    await other.queue('given').ensure()
    await expect(other.queue('not.given').ensure()).rejects.toMatchObject({
      code: 'queue_denied',
      message: expect.stringMatching(/"forebay--not--given---dead".*sqs:CreateQueue/),
    })
  })

  it('says which queue is missing, and finds it once it is there', async () => {
    const queue = provider.queue('absent')
    await expect(queue.receive({ max: 1, waitMs: 0, leaseMs })).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('"forebay--absent"'),
    })
    const other = await open(emulator.url)
    onTestFinished(() => other.close())
    await other.queue('absent').ensure()
    expect(await queue.send([{ id: 'a', body }])).toEqual([{ id: 'a', ok: true }])
  })

  it('says that SQS refused, cannot be reached, or asks for a pause', async () => {
    const queue = await fresh('refused')
    emulator.deny(['SendMessageBatch'])
    expect(await queue.send([{ id: 'a', body }])).toMatchObject([{ error: { code: 'queue_denied' } }])
    emulator.deny([])
    const nowhere = await open(`sqs://us-east-1?endpoint=http://127.0.0.1:${await freePort()}`)
    onTestFinished(() => nowhere.close())
    expect(await codeOf(nowhere.queue('a').ensure())).toBe('unavailable')
  })

  it('does not settle a lease that ran out on its own clock, though SQS would', async () => {
    const clock = new ManualClock(Date.now())
    const slow = await makeSqsProvider({ url: emulator.url, clock, logger: silentLogger, leaseMs: 60_000 })
    onTestFinished(() => slow.close())
    const queue = slow.queue('clocked')
    await queue.ensure()
    await queue.send([{ id: 'a', body }])
    const [lease] = await queue.receive({ max: 1, waitMs: 0, leaseMs: 60_000 })
    if (!lease) throw new Error('no message arrived')
    await clock.advance(60_000)
    expect((await queue.ack([lease])).map((r) => (r.ok ? 'ok' : r.error.code))).toEqual(['lease_lost'])
    expect((await queue.depth()).inFlight).toBe(1)
  })

  it.each([
    ['sqs:', 'no host'],
    ['sqs://key:secret@eu-west-1/a', 'credentials'],
    ['sqs://eu-west-1/a--b', 'prefix "a--b"'],
    ['sqs://eu-west-1/a?endpiont=http://x', '"endpiont"'],
  ])('refuses the URL %s and shows a right one', async (url, fault) => {
    const error: unknown = await open(url).catch((err: unknown) => err)
    expect(error).toMatchObject({ code: 'config_invalid', message: expect.stringContaining(fault) })
    expect(String(error)).toContain('sqs://eu-central-1/forebay')
    expect(String(error)).not.toContain('secret')
  })

  it.each(['a--b', 'a-.b', 'a..b', 'a.', 'x'.repeat(70)])(
    'refuses the name %s, which SQS could not tell apart or hold',
    (name) => {
      expect(() => provider.queue(name)).toThrow(/SQS/)
    },
  )
})
