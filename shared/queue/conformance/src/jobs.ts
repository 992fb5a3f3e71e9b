import { silentLogger, systemClock } from '@forebay/kernel'
import { type BodyStore, JobReceiver, type LeasedJob, makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import type { Lease, QueueDriver } from '@forebay/queue-port'
import { eventually } from '@forebay/test-support'
import { expect, it, onTestFinished } from 'vitest'
import { expectDepth, type Harness, leaseMs } from './harness.ts'

interface Text {
  text: string
}

const codec = makeJsonCodec<Text>({
  parse(value) {
    if (typeof value === 'object' && value !== null && 'text' in value) return { text: String(value.text) }
    throw new Error('not a text')
  },
})

/** What the core makes of the driver: jobs that ask more than the broker can give. */
export function jobCases(h: () => Harness): void {
  it('delivers a job delayed beyond the longest delay when it is due, as a first attempt', async () => {
    const driver = limited(await h().fresh(), 1_000)
    const sentAt = Date.now()
    await makeJobSender({ driver, codec }).send([{ id: 'far', job: { text: 'later' }, delayMs: 2_200 }])
    const job = await firstJob(receiverOf(driver))
    expect([job.id, job.attempt, job.job.text]).toEqual(['far', 1, 'later'])
    expect(Date.now() - sentAt).toBeGreaterThanOrEqual(2_180)
  })

  it('carries a body over the broker’s limit by reference, and deletes it when the job is done', async () => {
    const driver = await h().fresh()
    const bodies = mapStore()
    const text = 'x'.repeat(driver.capabilities.bodyBytesMax + 1)
    expect(await makeJobSender({ driver, codec, bodies }).send([{ id: 'big', job: { text } }])).toEqual([
      { id: 'big', ok: true },
    ])
    const receiver = receiverOf(driver, bodies)
    const [job] = await receiver.receive({ max: 1, waitMs: 5_000 })
    expect(job?.job.text.length).toBe(text.length)
    if (job) await receiver.settle(job, { kind: 'done' })
    expect(bodies.size()).toBe(0)
  })

  it('sets a message that is no job of ours, or of a newer version, aside with its reason, and goes on', async () => {
    const reasons: { id: string; code: string; detail?: string }[] = []
    const queue = await h().fresh()
    const driver = overlaid(queue, {
      deadLetter: (lease: Lease, reason: { code: string; detail?: string }) => {
        reasons.push({ id: lease.id, ...reason })
        return queue.deadLetter(lease, reason)
      },
    })
    const foreign = { garbage: '<not json>', stranger: '{"order":17}', newer: '{"v":2,"text":"a"}' }
    const encode = (text: string) => new TextEncoder().encode(text)
    await driver.send(Object.entries(foreign).map(([id, text]) => ({ id, body: encode(text) })))
    await makeJobSender({ driver, codec }).send([{ id: 'ours', job: { text: 'a' } }])
    const receiver = receiverOf(driver)
    expect((await firstJob(receiver)).id).toBe('ours')
    await eventually(() => reasons.length === 3, { what: 'every foreign message to be set aside', timeoutMs: 5_000 })
    const why = Object.fromEntries(reasons.map(({ id, code, detail }) => [id, `${code}: ${detail}`]))
    expect(why).toEqual({
      garbage: 'undecodable: SyntaxError',
      stranger: 'undecodable: Error',
      newer: 'newer_version: made by a newer Forebay: version 2; this one reads 1',
    })
    await expectDepth(h(), queue, { inFlight: 1, dead: 3 })
  })
}

/** The driver as one of a broker with shorter delays. */
function limited(driver: QueueDriver, delayMsMax: number): QueueDriver {
  return overlaid(driver, { capabilities: { ...driver.capabilities, delayMsMax } })
}

/** The driver with these members in place of its own. */
function overlaid(driver: QueueDriver, members: Partial<QueueDriver>): QueueDriver {
  return new Proxy(driver, {
    get(target, name) {
      if (name in members) return Reflect.get(members, name)
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

function receiverOf(driver: QueueDriver, bodies?: BodyStore): JobReceiver<Text> {
  const options = { driver, codec, clock: systemClock, logger: silentLogger, leaseMs, maxAttempts: 3 }
  const receiver = new JobReceiver(bodies ? { ...options, bodies } : options)
  onTestFinished(() => receiver.stop())
  return receiver
}

/** The first job to arrive; a poll whose messages were all put off or set aside answers none. */
async function firstJob(receiver: JobReceiver<Text>): Promise<LeasedJob<Text>> {
  const until = Date.now() + 8_000
  while (Date.now() < until) {
    const [job] = await receiver.receive({ max: 1, waitMs: 1_000 })
    if (job) return job
  }
  throw new Error('no job arrived')
}

function mapStore(): BodyStore & { size(): number } {
  const bodies = new Map<string, Uint8Array>()
  return {
    async put(key, body) {
      bodies.set(key, body)
    },
    async get(key) {
      const body = bodies.get(key)
      if (!body) throw new Error(`no body ${key}`)
      return body
    },
    async delete(key) {
      bodies.delete(key)
    },
    size: () => bodies.size,
  }
}
