import { loadConfig, required } from '@forebay/config'
import { makeLogger, makeRegistry, runProcess, startOpsServer, stopAll, systemClock } from '@forebay/kernel'
import { openDatabase } from '@forebay/store'
import { startWebhooks } from './app.ts'

const { config } = loadConfig(process.env)
const logger = makeLogger({ process: 'webhooks', level: config.logLevel })

await runProcess({
  logger,
  start: async () => {
    const registry = makeRegistry()
    const url = required(config, 'databaseUrl', 'the webhooks process')
    const db = openDatabase({ url, logger, applicationName: 'forebay-webhooks' })
    const ready = async () => {
      await db.query('SELECT 1')
      return undefined
    }
    const ops = await startOpsServer({ host: config.host, port: config.opsPort, registry, ready })
    const webhooks = await startWebhooks({ config, clock: systemClock, logger, registry, db })
    logger.info({ opsPort: ops.port }, 'webhooks started')
    return { stop: () => stopAll([webhooks, ops, db]) }
  },
})
