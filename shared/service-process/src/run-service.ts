import type { BlobStore } from '@forebay/blobs'
import { type Config, configOrExit, required, type SettingName } from '@forebay/config'
import {
  type Clock,
  type Logger,
  makeLogger,
  makeRegistry,
  type OpsServer,
  type Registry,
  type Running,
  runProcess,
  startOpsServer,
  stopAll,
  systemClock,
} from '@forebay/kernel'
import { openConfiguredPools, type PoolSet, type Pools, untilReachable } from '@forebay/pools'
import { openReplyBus, type ReplyBus } from '@forebay/reply-bus'
import { type Database, openDatabase } from '@forebay/store'

type Env = Readonly<Record<string, string | undefined>>

/** What a service's process is made of; what it opens is closed at its end, the last one first. */
export interface ServiceParts {
  readonly config: Config
  readonly env: Env
  readonly clock: Clock
  readonly logger: Logger
  readonly registry: Registry
  /** Throws `config_invalid`, naming the setting and this service, when it is not set. */
  required(name: SettingName): string
  /** Stops it when the process ends. */
  keep<T extends Running>(part: T): T
  openDatabase(options?: { connectionsMax?: number }): Database
  /** The configured pools and the store of files. Waits while the broker of an only pool is down. */
  openPools(): Promise<{ blobs: BlobStore; pools: Pools; set: PoolSet }>
  openReplyBus(): ReplyBus
  /** Serves /healthz, /readyz and /metrics; `ready` answers why the process is not, or nothing. */
  serveOps(options: Pick<Parameters<typeof startOpsServer>[0], 'ready' | 'more'>): Promise<OpsServer>
}

/**
 * Runs a service as a process of its own: settings from the environment (a fault is printed and ends it), logs under
 * its name, then `start`, whose answer is logged with `started`; a signal stops what was opened, and the process exits
 * 0 when that went well.
 */
export async function runService(options: {
  name: string
  env: Env
  start: (parts: ServiceParts) => Promise<Record<string, unknown>>
}): Promise<void> {
  const { env, name } = options
  const config = configOrExit(env)
  const logger = makeLogger({ process: name, level: config.logLevel })
  await runProcess({
    logger,
    start: async () => {
      const kept: Running[] = []
      logger.info(await options.start(partsOf({ name, config, env, logger, kept })), `${name} started`)
      return { stop: () => stopAll(kept) }
    },
  })
}

function partsOf(options: { name: string; config: Config; env: Env; logger: Logger; kept: Running[] }): ServiceParts {
  const { config, env, kept, logger, name } = options
  const clock = systemClock
  const registry = makeRegistry()
  const need = (setting: SettingName) => required(config, setting, `the ${name} process`)
  const keep = <T extends Running>(part: T): T => {
    kept.unshift(part)
    return part
  }
  return {
    config,
    env,
    clock,
    logger,
    registry,
    required: need,
    keep,
    openDatabase: (limits) =>
      keep(openDatabase({ url: need('databaseUrl'), logger, applicationName: `forebay-${name}`, ...limits })),
    async openPools() {
      const databaseUrl = need('databaseUrl')
      const open = () => openConfiguredPools({ config, env, databaseUrl, clock, logger })
      const setting = config.queueUrl ? 'QUEUE_URL' : 'DATABASE_URL'
      const opened = await untilReachable({ open, what: 'the queue', setting, clock, logger })
      keep({ stop: () => opened.pools.close() })
      return opened
    },
    openReplyBus: () => keep(openReplyBus({ url: need('redisUrl'), logger })),
    serveOps: async (ops) => keep(await startOpsServer({ host: config.host, port: config.opsPort, registry, ...ops })),
  }
}
