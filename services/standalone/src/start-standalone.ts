import { join } from 'node:path'
import { makeLocalScaling, startAutoscaler } from '@forebay/autoscaler'
import type { Config } from '@forebay/config'
import { startEmbeddedPostgres } from '@forebay/embedded-postgres'
import { startGateway } from '@forebay/gateway'
import { residentsOf, startWorker } from '@forebay/gpu-worker'
import { type Clock, type Logger, makeRegistry, type Running, stopAll } from '@forebay/kernel'
import { fileStoreUrlOf, openConfiguredPools, reportFaults } from '@forebay/pools'
import { openReplyBus } from '@forebay/reply-bus'
import { seedPrices, startResults } from '@forebay/results'
import { startScheduler } from '@forebay/scheduler'
import { migrate, openDatabase } from '@forebay/store'
import { startWebhooks } from '@forebay/webhooks'
import { bootstrapKey } from './bootstrap.ts'
import { startRedis } from './cluster/redis.ts'
import { Supervisor } from './cluster/supervisor.ts'
import { cacheSaltSecret } from './kept-secret.ts'
import { makeDataDir } from './make-data-dir.ts'
import { type Engine, openEngine } from './open-engine.ts'

export interface Standalone extends Running {
  /** Where the gateway listens. */
  url: string
  /** An admin key of the tenant `default`. */
  apiKey: string
  engine: Engine
  dataDir: string
}

/**
 * All of Forebay and one worker in this process, on embedded Postgres unless DATABASE_URL names another. With
 * FOREBAY_LOCAL_WORKERS the worker is not in it: the autoscaler starts and stops worker processes as they are needed. Where a
 * configuration file names the pools, the worker serves that of FOREBAY_POOL, and none is started when it names no such
 * pool: its workers are elsewhere. What was started is stopped again when a later part fails. `stop` drains: the gateway first, the database last.
 */
export async function startStandalone(options: {
  config: Config
  clock: Clock
  logger: Logger
  env: Record<string, string | undefined>
  simArgs?: readonly string[]
}): Promise<Standalone> {
  const { config, clock, logger } = options
  const dataDir = await makeDataDir(config.dataDir)
  const started: Running[] = []
  const keep = <T extends Running>(part: T): T => {
    started.unshift(part)
    return part
  }
  // Worker processes are reached over Redis, not over this process's memory.
  const ownRedis = () => {
    const supervisor = keep(new Supervisor({ clock, logger }))
    return startRedis({ supervisor, clock, dataDir, env: options.env })
  }
  try {
    const databaseUrl =
      config.databaseUrl ?? keep(await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), logger, clock })).url
    await migrate({ url: databaseUrl })
    const registry = makeRegistry()
    const db = keep(openDatabase({ url: databaseUrl, logger, clock, connectionsMax: 16 }))
    const redisUrl = config.redisUrl ?? (config.localWorkers ? await ownRedis() : undefined)
    // Without a reply bus beyond this process no other worker could answer its clients.
    const liveInProcess = redisUrl === undefined
    const { blobs, pools, set } = await openConfiguredPools({
      ...{ config, clock, logger, databaseUrl, liveInProcess },
      env: options.env,
    })
    keep({ stop: () => pools.close() })
    const [first] = pools.spec(config.pool)?.engines ?? []
    const named = first ? { ...config, engineUrl: first.url } : config
    const engine = keep(
      await openEngine({ config: named, clock, logger, simArgs: options.simArgs ?? [], env: options.env }),
    )
    await blobs.check()
    if (set.file !== undefined) void reportFaults({ pools, logger })
    await seedPrices(db)
    const apiKey = await bootstrapKey({ db, clock, dataDir, given: config.apiKey })
    const bus = keep(openReplyBus({ url: redisUrl, logger }))
    const common = { config, clock, registry, db, blobs, pools, bus }
    const part = (name: string) => ({ ...common, logger: logger.child({ part: name }) })
    keep(await startResults(part('results')))
    keep(await startWebhooks(part('webhooks')))
    keep(await startScheduler(part('scheduler')))
    const salt = await cacheSaltSecret({ dataDir, given: config.cacheSaltSecret })
    if (config.localWorkers) {
      const env = {
        ...options.env,
        ...{ QUEUE_URL: config.queueUrl ?? databaseUrl, REDIS_URL: redisUrl, FOREBAY_ENGINE_URL: engine.url },
        ...{ BLOB_URL: fileStoreUrlOf({ ...config, dataDir }), FOREBAY_CACHE_SALT_SECRET: salt },
      }
      const own = part('autoscaler')
      const local = makeLocalScaling({ config, set, env, clock, logger: own.logger })
      keep(await startAutoscaler({ ...own, ...(local && { local }) }))
    } else if (set.pools.some(({ name }) => name === config.pool)) {
      const queues = await pools.queues(config.pool)
      const salted = { ...config, cacheSaltSecret: salt }
      const own = { ...part('worker'), config: salted, blobs: pools.blobs(config.pool), queues }
      const key = config.engineApiKey ? { apiKey: config.engineApiKey } : {}
      const { gpus, quantization, ...spec } = pools.spec(config.pool) ?? {}
      const residents = residentsOf(spec)
      keep(await startWorker({ ...own, gpus, quantization, residents, engine: { url: engine.url, ...key } }))
    }
    const gateway = keep(await startGateway(part('gateway')))
    return { url: gateway.url, apiKey, engine, dataDir, stop: once(() => stopAll(started)) }
  } catch (err) {
    await stopAll(started).catch(() => {})
    throw err
  }
}

function once(fn: () => Promise<void>): () => Promise<void> {
  let result: Promise<void> | undefined
  return () => (result ??= fn())
}
