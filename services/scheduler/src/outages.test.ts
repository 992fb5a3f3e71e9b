import type { BlobStore } from '@forebay/blobs'
import { ForebayError, silentLogger, systemClock } from '@forebay/kernel'
import { openPools, type PoolSpec, type Pools } from '@forebay/pools'
import { eventually } from '@forebay/test-support'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { line, makeTestKit, readLines, type TestKit } from './testing/test-kit.ts'

let kit: TestKit
beforeEach(async () => {
  kit = await makeTestKit({ chunkLeaseMs: 60_000 })
})
afterEach(() => kit.stop())

const until = (id: string, what: string, is: (batch: Awaited<ReturnType<TestKit['batch']>>) => boolean) =>
  eventually(
    async () => {
      const batch = await kit.batch(id)
      return is(batch) ? batch : undefined
    },
    { what: `batch ${id} ${what}`, timeoutMs: 20_000 },
  )

/** Does the worker's part until the batch's requests are done. */
async function work(id: string, total: number) {
  await eventually(
    async () => {
      for (const held of await kit.receiver.receive({ max: 8, waitMs: 20 })) {
        await kit.record(held.job)
        await kit.receiver.settle(held, { kind: 'done' })
      }
      const { completed, failed } = await kit.batch(id)
      return completed + failed === total
    },
    { what: 'every request to be done', timeoutMs: 15_000 },
  )
}

const gone = () => Promise.reject(new ForebayError('unavailable', 'connect ECONNREFUSED'))

/** The store, which refuses everything while `away`. */
function fallible(store: BlobStore): BlobStore & { away: boolean } {
  const or =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> =>
      own.away ? gone() : call(...args)
  const own = {
    away: false,
    put: or((key: string, source: Parameters<BlobStore['put']>[1]) => store.put(key, source)),
    read: or((key: string, range?: Parameters<BlobStore['read']>[1]) => store.read(key, range)),
    readRange: or((key: string, start: number, end: number) => store.readRange(key, start, end)),
    size: or((key: string) => store.size(key)),
    delete: or((key: string) => store.delete(key)),
    deletePrefix: or((prefix: string) => store.deletePrefix(prefix)),
    check: or(() => store.check()),
  }
  return own
}

describe("while the files' own store is gone", () => {
  const waiting = 'The blob store of the files: it does not answer.'

  test('a batch waits to be planned and to be finalised, says for what, and ends whole when the store is back', async () => {
    const blobs = fallible(kit.blobs)
    blobs.away = true
    await kit.start({}, { blobs })
    const id = await kit.submit([1, 2, 3].map((n) => line(`id-${n}`)))
    const unplanned = await until(id, 'to say that it waits', (batch) => batch.waiting_for !== null)
    expect([unplanned.status, unplanned.waiting_for, unplanned.errors]).toEqual(['validating', waiting, null])

    blobs.away = false
    const planned = await until(id, 'to be planned', ({ status }) => status === 'in_progress')
    expect(planned.waiting_for).not.toBe(waiting)

    const [held] = await kit.take()
    if (!held) throw new Error('no chunk came')
    blobs.away = true
    await kit.record(held.job)
    await kit.receiver.settle(held, { kind: 'done' })
    const unwritten = await until(id, 'to say so again', (batch) => batch.waiting_for === waiting)
    expect([unwritten.status, unwritten['output_file_id']]).toEqual(['finalizing', null])

    blobs.away = false
    const done = await until(id, 'to end', ({ status }) => status === 'completed')
    expect([done.completed, done.failed, done.waiting_for]).toEqual([3, 0, null])
    const lines = await readLines(kit, done['output_file_id'])
    expect(lines?.map(({ custom_id }) => custom_id)).toEqual(['id-1', 'id-2', 'id-3'])
  })
})

describe('while the broker of the only pool in its region is cut off', () => {
  test('a batch waits for it, names it and why, and sends nothing to the open pool elsewhere', async () => {
    let cut = true
    const pool = (name: string, residency: string[]): PoolSpec => ({
      ...{ name, queueUrl: name, blobUrl: undefined, residency, models: ['m'], minReplicas: 0, spot: false },
      ...{ cloud: undefined, region: undefined, quantization: undefined, costPerGpuHour: undefined },
      ...{ gpus: undefined, maxReplicas: undefined, coldStartSeconds: undefined, tokensPerSecond: undefined },
      ...{ tier: 1, managed: false, spendCapPerDay: undefined },
    })
    const open = async (url: string): ReturnType<Pools['queues']> => {
      if (url === 'default' && cut) return gone()
      return { queue: (name) => kit.queues.queue(name), close: async () => {} }
    }
    const pools = openPools({
      set: { file: 'pools.yaml', pools: [pool('default', ['eu']), pool('us', ['us'])] },
      ...{ fileStore: kit.blobs, fileStoreUrl: 'files', clock: systemClock, logger: silentLogger, leaseMs: 60_000 },
      open: { queues: open },
    })
    await kit.start({}, { pools })
    const id = await kit.submit([line('a'), line('b')], { residency: 'eu' })
    const said = "A pool with the residency tag 'eu' that serves the model 'm': default its queue cannot be used:"
    await until(id, 'to say what it waits for', ({ waiting_for }) => waiting_for?.startsWith(said) ?? false)
    expect(await kit.queues.queue('us.batch').depth()).toMatchObject({ visible: 0, inFlight: 0, delayed: 0 })

    cut = false
    await work(id, 2)
    const done = await until(id, 'to end', ({ status }) => status === 'completed')
    expect(done.waiting_for).toBeNull()
    const ran = await kit.db.query('SELECT DISTINCT pool FROM requests WHERE batch_id = $1', [id])
    expect(ran).toEqual([{ pool: 'default' }])
  })
})
