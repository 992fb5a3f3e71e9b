import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { openBlobs } from '@forebay/blobs'
import { loadConfig, required } from '@forebay/config'
import { makeLogger, makeRegistry, runProcess, startOpsServer, stopAll, systemClock } from '@forebay/kernel'
import { openQueues } from '@forebay/queue-select'
import { openReplyBus } from '@forebay/reply-bus'
import { chooseEngineUrl } from './find-engine.ts'
import { startWorker } from './worker.ts'

const { config } = loadConfig(process.env)
const logger = makeLogger({ process: 'gpu-worker', level: config.logLevel })

await runProcess({
  logger,
  async start() {
    const clock = systemClock
    const registry = makeRegistry()
    const url = config.queueUrl ?? required(config, 'databaseUrl', 'a worker without QUEUE_URL')
    const queues = await openQueues({ url, clock, logger, leaseMs: config.queueLeaseMs })
    const bus = openReplyBus({ url: required(config, 'redisUrl', 'a worker of its own'), logger })
    const blobs = openBlobs({ url: config.blobUrl ?? pathToFileURL(resolve(config.dataDir, 'blobs')).href })
    const engineUrl = await chooseEngineUrl({ clock, engineUrl: config.engineUrl })
    const engine = { url: engineUrl, apiKey: config.engineApiKey }
    const worker = await startWorker({ config, clock, logger, registry, blobs, queues, bus, engine })
    const ready = async () => worker.trouble()
    const ops = await startOpsServer({ host: config.host, port: config.opsPort, registry, ready })
    logger.info({ workerId: worker.workerId, pool: config.pool, engineUrl, opsPort: ops.port }, 'worker started')
    return {
      stop: () => stopAll([worker, ops, bus, { stop: () => queues.close() }]),
    }
  },
})
