import { silentLogger, systemClock } from '@forebay/kernel'
import { dropJobs, JobReceiver, makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import type { Lease, QueueDriver } from '@forebay/queue-port'
import { eventually } from '@forebay/test-support'
import { expect, it, onTestFinished } from 'vitest'
import { type Harness, leaseMs, receiveOne } from './harness.ts'

interface Asked {
  name: string
  text: string
}

const codec = makeJsonCodec<Asked>(
  {
    parse(value) {
      if (typeof value !== 'object' || value === null || !('text' in value)) throw new Error('not asked')
      return value as Asked
    },
  },
  (value) => ({ name: (value as Partial<Asked> | undefined)?.name }),
)
const textOf = (lease: Lease | undefined) => Buffer.from(lease?.body ?? []).toString()
const options = { codec, clock: systemClock, logger: silentLogger }

/** What is left of content on a queue and among its dead letters. */
export function contentCases(h: () => Harness): void {
  it('keeps of a dead job what its codec lets it, and redriven it is a dead letter again', async () => {
    const queue = await h().fresh()
    const set: string[] = []
    const driver = new Proxy(queue, {
      get(target, name) {
        if (name === 'deadLetter') {
          return async (lease: Lease, reason: { code: string; detail?: string }) => {
            await target.deadLetter(lease, reason)
            set.push(`${reason.code} (${reason.detail}): ${textOf(lease)}`)
          }
        }
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const receiver = new JobReceiver({ ...options, driver, leaseMs, maxAttempts: 3 })
    onTestFinished(() => receiver.stop())
    await makeJobSender({ driver, ...options }).send([{ id: 'a', job: { name: 'n', text: 'what was asked' } }])
    const [job] = await receiver.receive({ max: 1, waitMs: 5_000 })
    if (job) await receiver.settle(job, { kind: 'dead', code: 'broken', detail: 'for good: at last' })
    const bare = 'broken (for good: at last): {"name":"n"}'
    const aside = (times: number) =>
      eventually(
        async () => {
          expect(await receiver.receive({ max: 1, waitMs: 200 })).toEqual([])
          return set.length === times
        },
        { what: 'what is left of the job to be set aside', timeoutMs: 8_000 },
      )
    await aside(1)
    await queue.redrive({ max: 10 })
    await aside(2)
    expect(set).toEqual([bare, bare])
  })

  it('drops jobs that are named, also of dead letters with their content, and keeps every other', async () => {
    const queue = await h().fresh()
    // Such are those that a broker set aside by itself.
    await queue.send(['old', 'young'].map((text) => ({ id: `dead-${text}`, body: codec.encode({ name: 'n', text }) })))
    await queue.send([{ id: 'garbage', body: Buffer.from('what was asked') }])
    for (const _ of [1, 2, 3]) await queue.deadLetter(await receiveOne(queue), { code: 'broken' })
    await queue.send(['old', 'young'].map((text) => ({ id: text, body: codec.encode({ name: 'n', text }) })))
    const sweep = () =>
      dropJobs({
        ...options,
        driver: queue,
        leaseMs,
        drop: ({ text }) => text === 'old',
        dead: 10,
        whole: true,
      })
    expect(await sweep()).toBe(2)
    const left = [await receiveOne(queue, 8_000), await receiveOne(queue, 8_000)]
    expect(left.map(({ id }) => id).sort()).toEqual(['dead-young', 'young'])
    await queue.ack(left)
    await emptyOf(queue, 'what was asked')
  })
}

/** Expects nothing on the queue, nor among its dead letters, to hold the text. */
async function emptyOf(queue: QueueDriver, text: string): Promise<void> {
  await queue.redrive({ max: 10 })
  for (;;) {
    const [lease] = await queue.receive({ max: 1, waitMs: 500, leaseMs })
    if (!lease) return
    expect(textOf(lease)).not.toContain(text)
    await queue.ack([lease])
  }
}
