import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { queueName, type ResultEvent, resultEventSchema } from '@forebay/contracts'
import { startEmbeddedPostgres } from '@forebay/embedded-postgres'
import { type Logger, systemClock } from '@forebay/kernel'
import { makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import { openQueues } from '@forebay/queue-select'
import { ownProcess, Supervisor } from '@forebay/standalone'
import { migrate } from '@forebay/store'
import { eventually, startRedis } from '@forebay/test-support'
import { makeRandom } from '../random.ts'
import type { PlantedBug } from './planted.ts'
import { compare, countRequests, makeTruth, prepare } from './truth.mjs'

/** What the suite found: all but `deliveries`, `kills` and `pauses` must be 0. */
export interface LedgerReport {
  deliveries: number
  requests: number
  kills: number
  pauses: number
  lost: number
  doubled: number
  ledgerDifferenceNano: number
  problems: string[]
}

const repository = fileURLToPath(new URL('../../../', import.meta.url))
const leaseMs = 2_000
const resultsPerEvent = 6
const copiesPerEvent = 3
const replicas = ['results-1', 'results-2', 'results-3']

/** A Postgres and a Redis that several runs may use one after the other. */
export interface Servers {
  postgres: { database(name: string): Promise<string> }
  redisUrl: string
  stop(): Promise<void>
}

/** Starts the servers of the suite in a folder of their own. */
export async function startServers(logger: Logger): Promise<Servers> {
  const root = await mkdtemp(join(tmpdir(), 'forebay-ledger-'))
  const postgres = await startEmbeddedPostgres({
    dataDir: join(root, 'pg'),
    logger,
    clock: systemClock,
    settings: { max_connections: '200' },
  })
  const redis = await startRedis({ dir: root, appendonly: true })
  const { Client } = (await import('pg')).default
  return {
    postgres: {
      async database(name) {
        const client = new Client({ connectionString: postgres.adminUrl })
        await client.connect()
        await client.query(`CREATE DATABASE ${name}`)
        await client.end()
        const url = new URL(postgres.adminUrl)
        url.pathname = `/${name}`
        await migrate({ url: url.href })
        return url.href
      },
    },
    redisUrl: redis.url,
    async stop() {
      await redis.stop()
      await postgres.stop()
      await rm(root, { recursive: true, force: true })
    },
  }
}

/**
 * Delivers result events one to five times, in random order, over a real queue to replicas of the results service, kills
 * these as soon as a commit is seen, stops them past their lease, and lets an independent checker compare what is in the
 * database with what the events were made of. With `bug`, the service runs from a copy of its source with that bug in it.
 */
export async function runLedger(options: {
  servers: Servers
  name: string
  deliveries: number
  seed: number
  logger: Logger
  disturbances: number
  bug?: PlantedBug
  settleMs?: number
}): Promise<LedgerReport> {
  const { bug, deliveries, disturbances, logger, name, seed, servers } = options
  const random = makeRandom(seed)
  const databaseUrl = await servers.postgres.database(name)
  const events = Math.max(12, Math.ceil(deliveries / copiesPerEvent))
  const liveRequests = Math.ceil(events / 10)
  const batches = 2 + Math.floor(events / 2_000)
  const linesPerBatch = Math.ceil(((events - liveRequests) * resultsPerEvent) / batches / 1.15)
  const truth = makeTruth({ batches, linesPerBatch, liveRequests, random, nowMs: systemClock.now() })
  await prepare(databaseUrl, truth)

  const redis = new URL(servers.redisUrl)
  redis.pathname = `/${seed % 16}`
  const queues = await openQueues({ url: redis.href, leaseMs, clock: systemClock, logger })
  const driver = queues.queue(queueName('default', 'results'))
  await driver.purge()
  const sender = makeJobSender({ driver, codec: makeJsonCodec(resultEventSchema), clock: systemClock })
  const jobs = shuffled(
    truth.events.flatMap((event) => Array.from({ length: 1 + Math.floor(random() * 5) }, () => event)),
    random,
  ).map((event, i) => ({ id: `${event.id}-${i}`, job: resultEventSchema.parse(event) as ResultEvent }))

  const root = bug ? await plant(bug) : undefined
  const supervisor = new Supervisor({ clock: systemClock, logger })
  const env = {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    DATABASE_URL: databaseUrl,
    QUEUE_URL: redis.href,
    FOREBAY_DATA_DIR: join(root ?? tmpdir(), `forebay-ledger-${name}`),
    FOREBAY_QUEUE_LEASE_MS: String(leaseMs),
    FOREBAY_LOG_LEVEL: 'fatal',
  }
  const report = { deliveries: jobs.length, requests: truth.requests, kills: 0, pauses: 0 }
  // A copy takes a while to start, and one replica shows what is wrong in it.
  const running = bug ? replicas.slice(0, 1) : replicas
  const script = join(root ?? repository, 'services/results/src/main.ts')
  try {
    for (const replica of running) supervisor.start(replica, ownProcess({ script, env }))
    for (let at = 0; at < jobs.length; at += 500) {
      const sent = await sender.send(jobs.slice(at, at + 500))
      if (sent.some((item) => !item.ok)) throw new Error('the queue did not take an event')
    }
    for (let i = 0; i < disturbances; i++) {
      const victim = running[Math.floor(random() * running.length)] ?? ''
      // A commit that was just seen is mostly not yet acknowledged.
      const before = await countRequests(databaseUrl)
      const moved = eventually(async () => (await countRequests(databaseUrl)) !== before, {
        what: 'a commit',
        timeoutMs: 5_000,
      })
      await moved.catch(() => undefined)
      if (i % 4 !== 3) {
        if (await supervisor.kill(victim, 'SIGKILL')) report.kills++
      } else if (await supervisor.kill(victim, 'SIGSTOP')) {
        await systemClock.sleep(leaseMs * 1.5)
        await supervisor.kill(victim, 'SIGCONT')
        report.pauses++
      }
    }
    const empty = async () => {
      const { visible, inFlight, delayed } = await driver.depth()
      return visible + inFlight + delayed === 0
    }
    const settled = eventually(empty, { what: 'every event to be settled', timeoutMs: options.settleMs ?? 600_000 })
    // A planted bug may keep the queue from ever being empty; what is in the database then tells.
    await settled.catch((err: unknown) => {
      if (!bug) throw err
    })
    const found = await compare(databaseUrl, truth)
    return { ...report, ...found }
  } finally {
    await supervisor.stop()
    await queues.close()
    if (root) await rm(root, { recursive: true, force: true })
    await rm(env.FOREBAY_DATA_DIR, { recursive: true, force: true })
  }
}

/** A copy of the results service with the bug in it. Throws when the place for it is not there. */
async function plant(bug: PlantedBug): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'forebay-planted-'))
  await cp(join(repository, 'services/results'), join(root, 'services/results'), { recursive: true })
  for (const name of ['package.json', 'tsconfig.json']) await cp(join(repository, name), join(root, name))
  await symlink(join(repository, 'node_modules'), join(root, 'node_modules'))
  const path = join(root, 'services/results/src', bug.file)
  const text = await readFile(path, 'utf8')
  if (!text.includes(bug.search)) throw new Error(`planted bug '${bug.name}': ${bug.file} no longer holds its place`)
  await writeFile(
    path,
    text.replace(bug.search, () => bug.replace),
  )
  return root
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}
