import { loadConfig, required } from '@forebay/config'
import { makeLogger, makeRegistry, runProcess, stopAll, systemClock } from '@forebay/kernel'
import { openConfiguredPools } from '@forebay/pools'
import { openReplyBus } from '@forebay/reply-bus'
import { openDatabase } from '@forebay/store'
import { startGateway } from './start-gateway.ts'

const { config } = loadConfig(process.env)
const logger = makeLogger({ process: 'gateway', level: config.logLevel })
const clock = systemClock

await runProcess({
  logger,
  start: async () => {
    const databaseUrl = required(config, 'databaseUrl', 'the gateway')
    const redisUrl = required(config, 'redisUrl', 'a gateway in a process of its own')
    const registry = makeRegistry({ process: 'gateway' })
    const db = openDatabase({ url: databaseUrl, logger, applicationName: 'forebay-gateway', connectionsMax: 16 })
    const { blobs, pools } = await openConfiguredPools({ config, env: process.env, databaseUrl, clock, logger })
    const bus = openReplyBus({ url: redisUrl, logger })
    const gateway = await startGateway({ config, clock, logger, registry, db, blobs, pools, bus })
    logger.info({ url: gateway.url, port: gateway.port }, 'gateway listens')
    return { stop: () => stopAll([gateway, { stop: () => pools.close() }, bus, db]) }
  },
})
