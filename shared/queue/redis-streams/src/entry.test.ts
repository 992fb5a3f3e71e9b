import { silentLogger, systemClock } from '@forebay/kernel'
import { redisUrl } from '@forebay/test-support'
import { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { contentOf, fieldOf } from './entry.ts'
import { makeRedisStreamsProvider } from './provider.ts'

const utf8 = (text: string) => new TextEncoder().encode(text)
const read = (fields: readonly (string | Buffer)[]) => contentOf(fields.map((field) => Buffer.from(field)))

describe('an entry', () => {
  it.each([
    { what: 'no attributes', id: 'job_1', attributes: undefined },
    { what: 'attributes', id: 'job_1', attributes: { a: 'one two', b: 'line\nend' } },
    { what: 'an id that looks like what is before it', id: '3 4 {}\n', attributes: { a: '' } },
    { what: 'an empty id', id: '', attributes: {} },
  ])('is read as it was written, with $what', ({ id, attributes }) => {
    const body = utf8('{"ü":1}')
    const content = read(fieldOf({ id, body, ...(attributes ? { attributes } : {}) }, 1_763_000_000_000))
    expect(content).toMatchObject({ id, used: 0, sentAt: 1_763_000_000_000 })
    expect(content.attributes).toEqual(attributes ?? {})
    expect([...content.body]).toEqual([...body])
  })
})

describe('entries that an earlier version added', () => {
  async function setUp() {
    const name = `earlier-${systemClock.now()}-${Math.random()}`
    const provider = await makeRedisStreamsProvider({
      url: redisUrl(),
      clock: systemClock,
      logger: silentLogger,
      leaseMs: 300,
    })
    const redis = new Redis(redisUrl())
    const stream = `forebay:stream:{${name}}`
    onTestFinished(async () => {
      await redis.del(stream, `${stream}:delayed`, `${stream}:dead`)
      redis.disconnect()
      await provider.close()
    })
    const fields = ['i', 'old', 'a', '{"k":"v"}', 't', '1763000000000', 'n', '2', 'b', '{"v":1}']
    await redis.xadd(stream, '*', ...fields)
    const queue = provider.queue(name)
    const receive = async () => {
      const [lease] = await queue.receive({ max: 1, waitMs: 5_000, leaseMs: 300 })
      if (!lease) throw new Error('nothing was there')
      return lease
    }
    return { queue, receive }
  }

  it('are delivered whole, and count their attempts on when given back and when lost', async () => {
    const { queue, receive } = await setUp()
    const first = await receive()
    expect(first).toMatchObject({ id: 'old', attempt: 3, attributes: { k: 'v' }, enqueuedAt: 1_763_000_000_000 })
    expect(Buffer.from(first.body).toString()).toBe('{"v":1}')
    await queue.nack(first, { delayMs: 20 })
    // Left to run out.
    expect((await receive()).attempt).toBe(4)
    const again = await receive()
    expect(again).toMatchObject({ id: 'old', attempt: 5, attributes: { k: 'v' } })
    expect(await queue.ack([again])).toEqual([{ id: 'old', ok: true }])
  })

  it('are set aside with their reason, and come back as first attempts', async () => {
    const { queue, receive } = await setUp()
    await queue.deadLetter(await receive(), { code: 'broken' })
    expect(await queue.depth()).toMatchObject({ dead: 1 })
    expect(await queue.redrive({ max: 10 })).toEqual({ moved: 1 })
    const lease = await receive()
    expect(lease).toMatchObject({ id: 'old', attempt: 1, attributes: { k: 'v' } })
    expect(Buffer.from(lease.body).toString()).toBe('{"v":1}')
  })
})
