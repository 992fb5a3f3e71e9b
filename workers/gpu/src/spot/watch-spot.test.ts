import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { ManualClock, silentLogger, systemClock } from '@forebay/kernel'
import { commandOf } from '@forebay/launch'
import { openQueues } from '@forebay/queue-select'
import { openReplyBus } from '@forebay/reply-bus'
import { eventually, startRedis, tempDir } from '@forebay/test-support'
import { afterEach, expect, it } from 'vitest'
import { completion, line, makeBench, startFakeEngine } from '../testing/bench.ts'
import { startAwsStandIn, startMetadataStandIn } from '../testing/metadata-stand-in.ts'
import { watchSpot } from './watch-spot.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function watching(config: Partial<Parameters<typeof watchSpot>[0]['config']>, poolCloud?: string) {
  const aws = await startAwsStandIn()
  const clock = new ManualClock()
  const left: number[] = []
  let ends = 0
  const spot = watchSpot({
    config: { spot: undefined, spotUrl: aws.url, spotRebalance: 'watch', drainMs: 9_000, ...config },
    poolCloud,
    worker: { leaveBy: async (byMs) => void left.push(byMs) },
    clock,
    logger: silentLogger,
    end: () => ends++,
  })
  cleanups.push(
    () => aws.stop(),
    () => spot.stop(),
  )
  /** Lets it look once more. */
  const look = async () => {
    const before = aws.calls.length
    await clock.advance(5_000)
    await eventually(() => aws.calls.length >= before + 2, { what: 'a look' })
    await clock.advance(0)
  }
  return { aws, clock, left, look, ends: () => ends }
}

it('watches the cloud that the pool is said to be on, and leaves by the time of the notice', async () => {
  const { aws, clock, ends, left } = await watching({}, 'AWS')
  await eventually(() => aws.calls.length >= 3, { what: 'the first look' })
  const byMs = Math.floor(clock.now() / 1000) * 1000 + 120_000
  aws.now.action = { action: 'terminate', time: new Date(byMs).toISOString() }
  await eventually(
    async () => {
      await clock.advance(5_000)
      return left.length > 0
    },
    { what: 'the notice' },
  )
  expect(left).toEqual([byMs])
  expect(ends()).toBe(1)
})

it('asks nobody on premises, and nobody when it is switched off', async () => {
  const onPremises = await watching({}, 'on-prem')
  const off = await watching({ spot: 'off' }, 'aws')
  await onPremises.clock.advance(60_000)
  await off.clock.advance(60_000)
  expect([...onPremises.aws.calls, ...off.aws.calls]).toEqual([])
})

it('drains on a rebalance recommendation only where told to, and only on one given since it began', async () => {
  const given = (clock: ManualClock, ms: number) => ({ noticeTime: new Date(clock.now() + ms).toISOString() })
  const told = async (spotRebalance: 'watch' | 'drain', ms: number) => {
    const { aws, clock, left, look } = await watching({ spot: 'aws', spotRebalance })
    aws.now.rebalance = given(clock, ms)
    await eventually(() => aws.calls.length >= 3, { what: 'the first look' })
    await look()
    return left.length
  }
  expect(await told('watch', 1_000)).toBe(0)
  expect(await told('drain', -1_000)).toBe(0)
  expect(await told('drain', 1_000)).toBe(1)
})

it('as a process: at the notice takes nothing more, keeps what is finished, hands back the rest and exits 0', async () => {
  const redis = await startRedis()
  const blobRoot = tempDir()
  const queues = await openQueues({ url: redis.url, clock: systemClock, logger: silentLogger, leaseMs: 10_000 })
  const b = await makeBench({}, { queues, bus: openReplyBus({ url: redis.url, logger: silentLogger }), blobRoot })
  const answers: (() => void)[] = []
  const engine = await startFakeEngine((_, res) => answers.push(() => res.end(completion())))
  let events: object[] = []
  const azure = await startMetadataStandIn(({ method, path }, res) => {
    if (path.includes('/compute/name')) return res.end('gpu_0')
    res.end(method === 'POST' ? '' : JSON.stringify({ DocumentIncarnation: 1, Events: events }))
  })
  cleanups.push(redis.stop, azure.stop, engine.stop, b.stop)
  const drains: boolean[] = []
  await b.bus.onAnnounce(({ draining }) => drains.push(draining))
  await b.release(Array.from({ length: 6 }, (_, i) => line(`c${i}`, `q ${i}`)))
  const { args, command } = commandOf('workers/gpu/src/main.ts')
  const child: ChildProcess = spawn(command, args, {
    stdio: 'ignore',
    env: {
      ...process.env,
      REDIS_URL: redis.url,
      QUEUE_URL: redis.url,
      BLOB_URL: `file://${blobRoot}`,
      FOREBAY_ENGINE_URL: engine.url,
      FOREBAY_ENGINE_IN_FLIGHT: '2',
      FOREBAY_REALTIME_SEATS: '0',
      FOREBAY_SPOT: 'azure',
      FOREBAY_SPOT_URL: azure.url,
    },
  })
  cleanups.push(() => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  await eventually(() => answers.length === 2, { what: 'two requests at the engine' })
  const NotBefore = new Date(systemClock.now() + 6_000).toUTCString()
  events = [{ EventId: 'E', EventType: 'Preempt', Resources: ['gpu_0'], EventStatus: 'Scheduled', NotBefore }]
  await eventually(() => drains.at(-1), { what: 'the worker to announce that it drains' })
  for (const answer of answers.splice(0)) answer()
  // Told in the middle of it by its supervisor too, it does not break off.
  child.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
  await eventually(() => b.notes.some(({ state }) => state === 'returned'), { what: 'the rest handed back' })
  await b.settled('default.batch')
  expect(b.results.map(({ line, outcome }) => ({ line, outcome }))).toEqual([
    { line: 1, outcome: 'succeeded' },
    { line: 2, outcome: 'succeeded' },
  ])
  expect(azure.calls.filter(({ method }) => method === 'POST').map(({ body }) => JSON.parse(body))).toEqual([
    { StartRequests: [{ EventId: 'E' }] },
  ])
}, 30_000)
