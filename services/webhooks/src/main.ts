import { loadConfig, required } from '@forebay/config'
import {
  describeError,
  makeLogger,
  makeRegistry,
  runProcess,
  startOpsServer,
  stopAll,
  systemClock,
} from '@forebay/kernel'
import { openDatabase } from '@forebay/store'
import { startWebhooks } from './app.ts'

try {
  const { config } = loadConfig(process.env)
  const url = required(config, 'databaseUrl', 'the webhooks process')
  const logger = makeLogger({ process: 'webhooks', level: config.logLevel })
  await runProcess({
    logger,
    start: async () => {
      const registry = makeRegistry()
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
} catch (err) {
  process.stderr.write(`${describeError(err)}\n`)
  process.exit(1)
}
