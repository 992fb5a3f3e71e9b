import { openBlobs } from '@forebay/blobs'
import { configOrExit, required } from '@forebay/config'
import { makeLogger, makeRegistry, runProcess, startOpsServer, stopAll, systemClock } from '@forebay/kernel'
import { fileStoreUrlOf, loadPools, poolNamed, untilReachable } from '@forebay/pools'
import { openQueues } from '@forebay/queue-select'
import { openReplyBus } from '@forebay/reply-bus'
import { chooseEngineUrl } from './find-engine.ts'
import { residentsOf } from './residency/residents-of.ts'
import { watchSpot } from './spot/watch-spot.ts'
import { startWorker, type Worker } from './worker.ts'

const config = configOrExit(process.env)
const logger = makeLogger({ process: 'gpu-worker', level: config.logLevel })

await runProcess({
  logger,
  async start(end) {
    const clock = systemClock
    const registry = makeRegistry()
    const set = await loadPools({ config, env: process.env, queueUrlDefault: config.databaseUrl, only: config.pool })
    const pool = poolNamed(set, config.pool)
    const redisUrl = required(config, 'redisUrl', 'a worker of its own')
    let worker: Worker | undefined
    const what = `the broker of the pool ${config.pool}`
    const ready = async () => (worker ? worker.trouble() : `it waits for ${what}`)
    const ops = await startOpsServer({ host: config.host, port: config.opsPort, registry, ready })
    const setting = set.file ? `queue of the pool in ${set.file}` : config.queueUrl ? 'QUEUE_URL' : 'DATABASE_URL'
    const open = () => openQueues({ url: pool.queueUrl, clock, logger, leaseMs: config.queueLeaseMs })
    const queues = await untilReachable({ open, what, setting, clock, logger })
    const bus = openReplyBus({ url: redisUrl, logger })
    const blobs = openBlobs({ url: pool.blobUrl ?? fileStoreUrlOf(config) })
    const residents = residentsOf(pool)
    const engineUrl = residents?.engines[0]?.url ?? (await chooseEngineUrl({ clock, engineUrl: config.engineUrl }))
    const engine = { url: engineUrl, apiKey: config.engineApiKey }
    const { gpus, quantization } = pool
    const own = { config, clock, logger, registry, blobs, queues, bus }
    worker = await startWorker({ ...own, gpus, quantization, engine, residents })
    const spot = watchSpot({ config, poolCloud: pool.cloud, worker, clock, logger, end: () => end('spot notice') })
    logger.info({ workerId: worker.workerId, pool: config.pool, engineUrl, opsPort: ops.port }, 'worker started')
    return {
      stop: () => stopAll([worker, spot, ops, bus, { stop: () => queues.close() }]),
    }
  },
})
