import { loadConfig, required } from '@forebay/config'
import {
  makeLogger,
  makeRegistry,
  type Running,
  runProcess,
  startOpsServer,
  stopAll,
  systemClock,
} from '@forebay/kernel'
import { openConfiguredPools, reportFaults } from '@forebay/pools'
import { openReplyBus } from '@forebay/reply-bus'
import { openDatabase } from '@forebay/store'
import { startScheduler } from './scheduler.ts'

const { config } = loadConfig(process.env)
const logger = makeLogger({ process: 'scheduler', level: config.logLevel })

async function start(): Promise<Running> {
  const databaseUrl = required(config, 'databaseUrl', 'the scheduler')
  const redisUrl = required(config, 'redisUrl', 'the scheduler')
  const clock = systemClock
  const registry = makeRegistry()
  const { blobs, pools } = await openConfiguredPools({ config, env: process.env, databaseUrl, clock, logger })
  await blobs.check()
  const db = openDatabase({ url: databaseUrl, logger, applicationName: 'forebay-scheduler' })
  void reportFaults({ pools, logger })
  const bus = openReplyBus({ url: redisUrl, logger })
  const ready = async () => {
    const reachable = await db.query('SELECT 1').then(
      () => undefined,
      () => 'the database cannot be reached',
    )
    return reachable ?? bus.trouble()
  }
  const ops = await startOpsServer({ host: config.host, port: config.opsPort, registry, ready })
  const scheduler = await startScheduler({ config, clock, logger, registry, db, blobs, pools, bus })
  logger.info({ opsPort: ops.port }, 'scheduler started')
  return { stop: () => stopAll([scheduler, ops, { stop: () => pools.close() }, bus, db]) }
}

void runProcess({ logger, start })
