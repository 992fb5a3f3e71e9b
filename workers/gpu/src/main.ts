import { openBlobs } from '@forebay/blobs'
import { loadConfig, required } from '@forebay/config'
import { makeLogger, makeRegistry, runProcess, startOpsServer, stopAll, systemClock } from '@forebay/kernel'
import { fileStoreUrlOf, loadPools, poolNamed } from '@forebay/pools'
import { openQueues } from '@forebay/queue-select'
import { openReplyBus } from '@forebay/reply-bus'
import { chooseEngineUrl } from './find-engine.ts'
import { watchSpot } from './spot/watch-spot.ts'
import { startWorker } from './worker.ts'

const { config } = loadConfig(process.env)
const logger = makeLogger({ process: 'gpu-worker', level: config.logLevel })

await runProcess({
  logger,
  async start(end) {
    const clock = systemClock
    const registry = makeRegistry()
    const set = await loadPools({ config, env: process.env, queueUrlDefault: config.databaseUrl, only: config.pool })
    const pool = poolNamed(set, config.pool)
    const queues = await openQueues({ url: pool.queueUrl, clock, logger, leaseMs: config.queueLeaseMs })
    const bus = openReplyBus({ url: required(config, 'redisUrl', 'a worker of its own'), logger })
    const blobs = openBlobs({ url: pool.blobUrl ?? fileStoreUrlOf(config) })
    const engineUrl = await chooseEngineUrl({ clock, engineUrl: config.engineUrl })
    const engine = { url: engineUrl, apiKey: config.engineApiKey }
    const worker = await startWorker({ config, clock, logger, registry, blobs, queues, bus, gpus: pool.gpus, engine })
    const spot = watchSpot({ config, poolCloud: pool.cloud, worker, clock, logger, end: () => end('spot notice') })
    const ready = async () => worker.trouble()
    const ops = await startOpsServer({ host: config.host, port: config.opsPort, registry, ready })
    logger.info({ workerId: worker.workerId, pool: config.pool, engineUrl, opsPort: ops.port }, 'worker started')
    return {
      stop: () => stopAll([worker, spot, ops, bus, { stop: () => queues.close() }]),
    }
  },
})
