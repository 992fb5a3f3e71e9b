import { type BlobStore, openFolderBlobs } from '@forebay/blobs'
import { ForebayError, ManualClock, silentLogger } from '@forebay/kernel'
import { makeMemoryProvider } from '@forebay/queue-memory'
import type { QueueProvider } from '@forebay/queue-port'
import { tempDir } from '@forebay/test-support'
import { expect, test } from 'vitest'
import { CircuitBreaker, isBrokerFault } from './circuit-breaker.ts'
import { guardQueues } from './guard.ts'
import { openPools } from './open-pools.ts'
import { parsePools } from './parse-pools.ts'
import { reportFaults } from './report-faults.ts'

const text = `
pools:
  - { name: a, queue: 'redis://one:1' }
  - { name: b, queue: 'redis://one:1', blobs: 's3://b/x' }
  - { name: c, queue: 'redis://two:2' }
`

function setUp() {
  const clock = new ManualClock()
  const down = new Set<string>()
  const opened: string[] = []
  const closed: string[] = []
  const unavailable = () => new ForebayError('unavailable', 'gone')
  const queues = async (url: string): Promise<QueueProvider> => {
    if (down.has(url)) throw unavailable()
    opened.push(url)
    const provider = makeMemoryProvider({ clock })
    const queue = (name: string) => {
      const driver = provider.queue(name)
      const depth = driver.depth.bind(driver)
      driver.depth = async () => {
        if (down.has(url)) throw unavailable()
        return depth()
      }
      return driver
    }
    return { queue, close: async () => void closed.push(url) }
  }
  const fileStore = openFolderBlobs({ root: tempDir() })
  const other: BlobStore = {
    ...openFolderBlobs({ root: tempDir() }),
    size: async () => {
      if (down.has('s3://b/x')) throw unavailable()
      return undefined
    },
  }
  const pools = openPools({
    set: { file: 'pools.yaml', pools: parsePools({ text, file: 'pools.yaml', env: {} }) },
    fileStore,
    fileStoreUrl: 'file:///files',
    clock,
    logger: silentLogger,
    leaseMs: 1000,
    open: { queues, blobs: () => other },
  })
  const depth = async (pool: string) => (await pools.queues(pool)).queue(`${pool}.batch`).depth()
  return { clock, closed, depth, down, fileStore, opened, other, pools }
}

test('brokers are opened on first use, once for equal URLs, and all closed', async () => {
  const { closed, opened, pools } = setUp()
  expect(opened).toEqual([])
  await Promise.all([pools.queues('a'), pools.queues('b'), pools.queues('c')])
  expect(opened.sort()).toEqual(['redis://one:1', 'redis://two:2'])
  await pools.close()
  await pools.close()
  expect(closed.sort()).toEqual(['redis://one:1', 'redis://two:2'])
})

test('a pool has its own store or that of the files; one that is not in the file is named', async () => {
  const { fileStore, pools } = setUp()
  expect(pools.blobs('a')).toBe(fileStore)
  expect([pools.sharesFileStore('a'), pools.sharesFileStore('b')]).toEqual([true, false])
  expect(pools.knows('x')).toBe(false)
  await expect(pools.queues('x')).rejects.toThrow(/The pool 'x' is not in pools.yaml/)
})

test('a broker that cannot be reached is in trouble until it answers again; its neighbours are not', async () => {
  const { clock, depth, down, pools } = setUp()
  await depth('a')
  down.add('redis://one:1')
  for (let i = 0; i < 3; i++) await expect(depth('a')).rejects.toMatchObject({ code: 'unavailable' })
  expect(pools.trouble('a')).toMatchObject({ sinceMs: clock.now(), reason: expect.stringContaining('gone') })
  expect(pools.trouble('c')).toBeUndefined()
  await depth('c')
  down.delete('redis://one:1')
  await expect(depth('a')).rejects.toThrow(/out of order/)
  await clock.advance(500)
  await depth('a')
  expect(pools.trouble('a')).toBeUndefined()
})

test('a pool whose broker is down at the start opens when it is up, and stops no other', async () => {
  const { clock, depth, down, pools } = setUp()
  down.add('redis://two:2')
  await expect(depth('c')).rejects.toMatchObject({ code: 'unavailable' })
  await depth('a')
  down.delete('redis://two:2')
  await clock.advance(1000)
  await depth('c')
  expect(pools.trouble('c')).toBeUndefined()
})

test('a store of a pool that does not answer puts that pool in trouble', async () => {
  const { clock, down, pools } = setUp()
  down.add('s3://b/x')
  await pools.probeStores()
  await pools.probeStores()
  expect(pools.trouble('b')?.reason).toMatch(/blob store cannot be used: gone/)
  expect(pools.trouble('a')).toBeUndefined()
  down.clear()
  await clock.advance(1000)
  await pools.probeStores()
  expect(pools.trouble('b')).toBeUndefined()
})

test('faults at the start are logged with the pool, one by one', async () => {
  const { down, pools } = setUp()
  down.add('redis://two:2')
  const told: unknown[] = []
  const logger = Object.assign(Object.create(silentLogger), { error: (fields: unknown) => told.push(fields) })
  await reportFaults({ pools, logger })
  expect(told).toEqual([
    expect.objectContaining({ pool: 'c', what: 'queues', reason: expect.stringContaining('gone') }),
  ])
})

test('a queue that nobody has made yet is made when its depth is asked, and puts its pool in no trouble', async () => {
  const clock = new ManualClock()
  const made = new Set<string>()
  const missing = () => new ForebayError('not_found', 'no such queue')
  const provider = makeMemoryProvider({ clock })
  const strict = {
    queue: (name: string) => {
      const driver = provider.queue(name)
      const depth = driver.depth.bind(driver)
      driver.ensure = async () => void made.add(name)
      driver.depth = async () => (made.has(name) ? depth() : Promise.reject(missing()))
      return driver
    },
    close: async () => {},
  }
  const breaker = new CircuitBreaker({ clock, what: 'It', isFault: isBrokerFault })
  expect(await guardQueues(strict, breaker).queue('a.batch').depth()).toMatchObject({ visible: 0 })
  expect([made, breaker.trouble()]).toEqual([new Set(['a.batch']), undefined])
})
