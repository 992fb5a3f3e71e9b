import { join } from 'node:path'
import type { Config } from '@forebay/config'
import { startEmbeddedPostgres } from '@forebay/embedded-postgres'
import { type Clock, ForebayError, type Logger, type Running, stopAll } from '@forebay/kernel'
import { fileStoreUrlOf, loadPools } from '@forebay/pools'
import { seedPrices } from '@forebay/results'
import { migrate, openDatabase } from '@forebay/store'
import { request } from 'undici'
import { bootstrapKey } from '../bootstrap.ts'
import { ownProcess } from '../child.ts'
import { freePort } from '../free-port.ts'
import { cacheSaltSecret } from '../kept-secret.ts'
import { makeDataDir } from '../make-data-dir.ts'
import { type Engine, openEngine } from '../open-engine.ts'
import { startRedis } from './redis.ts'
import { Supervisor } from './supervisor.ts'

// A worker is given no database and no key: it needs the queue, the blobs, the reply bus and the engine, nothing more.
const nothingOfControl = { DATABASE_URL: undefined, FOREBAY_API_KEY: undefined }

/** How many of each process. */
export interface Replicas {
  gateway: number
  scheduler: number
  results: number
  webhooks: number
  /** None when not given. */
  autoscaler?: number
  /** In each pool. */
  worker: number
}

export interface Cluster extends Running {
  /** One URL per gateway. */
  urls: string[]
  apiKey: string
  databaseUrl: string
  redisUrl: string
  engine: Engine
  dataDir: string
  /** The processes by name, for killing them: `redis`, `gateway-0`, `worker-1`, … */
  supervisor: Supervisor
}

const scripts = {
  gateway: 'services/gateway/src/main.ts',
  scheduler: 'services/scheduler/src/main.ts',
  results: 'services/results/src/main.ts',
  webhooks: 'services/webhooks/src/main.ts',
  autoscaler: 'services/autoscaler/src/main.ts',
  worker: 'workers/gpu/src/main.ts',
} as const satisfies Record<keyof Required<Replicas>, string>

/**
 * The same processes as on many hosts, each on its own, on loopback: Redis for queue, reply bus and limits, Postgres
 * (embedded unless DATABASE_URL names one) for the truth, a folder for blobs. Resolves when every gateway is ready.
 */
export async function startCluster(options: {
  config: Config
  clock: Clock
  logger: Logger
  env: Record<string, string | undefined>
  replicas: Replicas
  simArgs?: readonly string[]
}): Promise<Cluster> {
  const { config, clock, logger, env, replicas } = options
  const dataDir = await makeDataDir(config.dataDir)
  const started: Running[] = []
  const keep = <T extends Running>(part: T): T => {
    started.unshift(part)
    return part
  }
  try {
    const databaseUrl =
      config.databaseUrl ?? keep(await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), logger, clock })).url
    const engine = keep(await openEngine({ config, clock, logger, env, simArgs: options.simArgs ?? [] }))
    const supervisor = keep(new Supervisor({ clock, logger }))
    const redisUrl = config.redisUrl ?? (await startRedis({ supervisor, clock, dataDir, env }))
    await migrate({ url: databaseUrl })
    const db = openDatabase({ url: databaseUrl, logger, clock, connectionsMax: 2 })
    const apiKey = await bootstrapKey({ db, clock, dataDir, given: config.apiKey })
    await seedPrices(db)
    await db.stop()

    const queueUrl = config.queueUrl ?? redisUrl
    const common = {
      ...env,
      DATABASE_URL: databaseUrl,
      QUEUE_URL: queueUrl,
      REDIS_URL: redisUrl,
      BLOB_URL: fileStoreUrlOf({ ...config, dataDir }),
      FOREBAY_ENGINE_URL: engine.url,
      FOREBAY_OPS_PORT: '0',
    }
    const salt = await cacheSaltSecret({ dataDir, given: config.cacheSaltSecret })
    const ofWorkers = { FOREBAY_CACHE_SALT_SECRET: salt }
    const { pools } = await loadPools({ config, env: common, queueUrlDefault: queueUrl })
    const urls: string[] = []
    for (const [role, count] of Object.entries(replicas) as [keyof Replicas, number][]) {
      // So many workers of every pool.
      for (let i = 0; i < (role === 'worker' ? count * pools.length : count); i++) {
        const port = role === 'gateway' ? (config.port === 0 ? await freePort() : config.port + i) : 0
        if (role === 'gateway') urls.push(`http://${config.host}:${port}`)
        const own =
          role === 'worker'
            ? { ...common, ...nothingOfControl, ...ofWorkers, FOREBAY_POOL: pools[i % pools.length]?.name }
            : { ...common, PORT: String(port) }
        supervisor.start(`${role}-${i}`, ownProcess({ script: scripts[role], env: own }))
      }
    }
    for (const url of urls) await waitUntilReady(url, clock)
    let stopped: Promise<void> | undefined
    return {
      urls,
      apiKey,
      databaseUrl,
      redisUrl,
      engine,
      dataDir,
      supervisor,
      stop: () => (stopped ??= stopAll(started)),
    }
  } catch (err) {
    await stopAll(started).catch(() => {})
    throw err
  }
}

async function waitUntilReady(url: string, clock: Clock): Promise<void> {
  let last = 'no answer'
  for (let waitedMs = 0; waitedMs < 60_000; waitedMs += 100) {
    try {
      const response = await request(`${url}/readyz`, { headersTimeout: 1000 })
      const body = await response.body.text()
      if (response.statusCode === 200) return
      last = body
    } catch (err) {
      last = String(err)
    }
    await clock.sleep(100)
  }
  throw new ForebayError('unavailable', `The gateway at ${url} was not ready within 60 s: ${last}`)
}
