import { loadConfig, required } from '@forebay/config'
import {
  backoffMs,
  systemClock as clock,
  describeError,
  isForebayError,
  makeLogger,
  makeRegistry,
  runProcess,
  startOpsServer,
  stopAll,
} from '@forebay/kernel'
import { openConfiguredPools, type Pools } from '@forebay/pools'
import { openDatabase } from '@forebay/store'
import { startResults } from './start-results.ts'

const { config } = loadConfig(process.env)
const logger = makeLogger({ process: 'results', level: config.logLevel })

/** Opens the pools; waits while the broker of an only one is down. */
async function openPoolsWhenUp(databaseUrl: string): Promise<Pools> {
  for (let attempt = 1; ; attempt++) {
    try {
      return (await openConfiguredPools({ config, env: process.env, databaseUrl, clock, logger })).pools
    } catch (err) {
      if (!isForebayError(err) || err.code !== 'unavailable') throw err
      const retryMs = backoffMs(attempt, { firstMs: 250, maxMs: 5_000 })
      logger.warn({ attempt, retryMs, reason: describeError(err) }, 'the queue cannot be reached')
      await clock.sleep(retryMs)
    }
  }
}

await runProcess({
  logger,
  start: async () => {
    const registry = makeRegistry()
    const databaseUrl = required(config, 'databaseUrl', 'the results process')
    const db = openDatabase({ url: databaseUrl, logger, applicationName: 'forebay-results' })
    let consuming = false
    const ready = async () => {
      await db.query('SELECT 1')
      return consuming ? undefined : 'the queue cannot be reached'
    }
    const ops = await startOpsServer({ host: config.host, port: config.opsPort, registry, ready })
    const pools = await openPoolsWhenUp(databaseUrl)
    const results = await startResults({ config, clock, logger, registry, db, pools })
    consuming = true
    logger.info({ opsPort: ops.port }, 'results started')
    return { stop: () => stopAll([results, { stop: () => pools.close() }, ops, db]) }
  },
})
