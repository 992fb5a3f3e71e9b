import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { startEmbeddedPostgres } from '@forebay/embedded-postgres'
import { ForebayError, silentLogger, systemClock } from '@forebay/kernel'
import { startRedis } from '@forebay/test-support'
import { type Helper, median, round, startHelper } from './load.ts'
import { type ClientResult, type ClientTask, type DriverName, driverNames } from './queues/client-task.ts'
import type { BrokerTask } from './queues-broker-process.ts'

/** One driver against the SDK it is made of. */
export interface DriverResult {
  driver: DriverName
  /** Jobs a second through lanes, core and driver, as a share of the bare SDK's in its best batched use. */
  toRawSdk: number
  idleP50Ms: number
  jobsPerSecond: number
  rawJobsPerSecond: number
  rawIdleP50Ms: number
  /** Microseconds of the client process's CPU per job sent, received and acknowledged. */
  cpuMicros: number
  rawCpuMicros: number
}

const drivers: readonly DriverName[] = driverNames

/**
 * Measures what lanes, core and driver cost: the same jobs are sent, received, checked and acknowledged through them
 * and with the bare SDK, on the same broker in the same run, in turns. Redis and Postgres are the real ones, the
 * clouds' brokers are the emulators; each is a process of its own, and so is the client.
 */
export async function run(args: readonly string[]): Promise<{ drivers: DriverResult[] }> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      jobs: { type: 'string', default: '6000' },
      idle: { type: 'string', default: '31' },
      turns: { type: 'string', default: '3' },
      drivers: { type: 'string', default: drivers.join(',') },
      profile: { type: 'string' },
    },
  })
  const profile = values.profile === undefined ? undefined : resolve(values.profile)
  const [jobs, idle, turns] = [values.jobs, values.idle, values.turns].map(Number)
  const chosen = drivers.filter((driver) => values.drivers.split(',').includes(driver))
  if (chosen.length === 0 || !jobs || !idle || !turns) {
    throw new ForebayError('invalid_value', `Give whole numbers, and --drivers out of ${drivers.join(',')}.`)
  }
  const results: DriverResult[] = []
  for (const driver of chosen) results.push(await measure(driver, { jobs, idle, turns, profile }))
  return { drivers: results }
}

async function measure(
  driver: DriverName,
  options: { jobs: number; idle: number; turns: number; profile: string | undefined },
): Promise<DriverResult> {
  const broker = await brokers[driver]()
  const ended: Record<ClientTask['way'], ClientResult[]> = { core: [], bare: [] }
  try {
    // The first turn only warms the broker.
    for (let turn = 0; turn <= options.turns; turn++) {
      // Who is first changes: a broker grows slower, or warmer, with what it has done.
      for (const way of turn % 2 === 0 ? (['bare', 'core'] as const) : (['core', 'bare'] as const)) {
        const env = options.profile === undefined ? {} : profiling(join(options.profile, `${driver}-${way}`))
        const client: Helper<ClientTask, ClientResult> = startHelper('./queues-client-process.ts', env)
        try {
          const { jobs, idle } = options
          const result = await client.run({ driver, way, url: broker.url, name: `${way}${turn}`, jobs, idle })
          if (turn > 0) ended[way].push(result)
        } finally {
          await client.stop()
        }
      }
    }
  } finally {
    await broker.stop()
  }
  const middle = (way: ClientTask['way'], of: keyof ClientResult) => round(median(ended[way].map((each) => each[of])))
  const ratios = ended.core.map((core, i) => core.jobsPerSecond / (ended.bare[i]?.jobsPerSecond ?? Number.NaN))
  return {
    driver,
    toRawSdk: round(median(ratios)),
    idleP50Ms: middle('core', 'idleP50Ms'),
    jobsPerSecond: middle('core', 'jobsPerSecond'),
    rawJobsPerSecond: middle('bare', 'jobsPerSecond'),
    rawIdleP50Ms: middle('bare', 'idleP50Ms'),
    cpuMicros: middle('core', 'cpuMicros'),
    rawCpuMicros: middle('bare', 'cpuMicros'),
  }
}

function profiling(dir: string): Record<string, string> {
  return { NODE_OPTIONS: `--import=${new URL('./profile.mjs', import.meta.url).href}`, BENCH_PROFILE: dir }
}

interface Broker {
  url: string
  stop(): Promise<void>
}

const brokers: Record<DriverName, () => Promise<Broker>> = {
  redis: () => inFolder((dir) => startRedis({ dir, appendonly: false })),
  'redis-streams': () => inFolder((dir) => startRedis({ dir, appendonly: false })),
  postgres: () =>
    inFolder((dir) => startEmbeddedPostgres({ dataDir: join(dir, 'data'), clock: systemClock, logger: silentLogger })),
  sqs: () => emulator('sqs'),
  pubsub: () => emulator('pubsub'),
  servicebus: () => emulator('servicebus'),
}

async function inFolder(start: (dir: string) => Promise<Broker>): Promise<Broker> {
  const dir = await mkdtemp(join(tmpdir(), 'forebay-bench-'))
  const { stop, url } = await start(dir).then((broker) => ({ url: broker.url, stop: () => broker.stop() }))
  return {
    url,
    async stop() {
      await stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

async function emulator(broker: BrokerTask['broker']): Promise<Broker> {
  // The SDK wants some; the emulator does not look.
  process.env['AWS_ACCESS_KEY_ID'] ??= 'bench'
  process.env['AWS_SECRET_ACCESS_KEY'] ??= 'bench'
  const helper: Helper<BrokerTask, { url: string }> = startHelper('./queues-broker-process.ts')
  const { url } = await helper.run({ broker })
  return { url, stop: () => helper.stop() }
}
