import { type Config, loadConfig, required } from '@forebay/config'
import {
  type Clock,
  ForebayError,
  type Logger,
  makeLogger,
  makeRegistry,
  runProcess,
  startOpsServer,
  stopAll,
  systemClock,
} from '@forebay/kernel'
import { openConfiguredPools, type PoolSet, poolNamed } from '@forebay/pools'
import { openReplyBus } from '@forebay/reply-bus'
import { openDatabase } from '@forebay/store'
import { startGrpcScaler } from './scalers/grpc-scaler.ts'
import { LocalWorkers } from './scalers/local-scaler.ts'
import { makeScaleRoute } from './scalers/scale-route.ts'
import { startWorkerProcess } from './scalers/worker-process.ts'
import { startAutoscaler } from './start-autoscaler.ts'

const { config } = loadConfig(process.env)
const logger = makeLogger({ process: 'autoscaler', level: config.logLevel })

await runProcess({
  logger,
  start: async () => {
    const clock = systemClock
    const databaseUrl = required(config, 'databaseUrl', 'the autoscaler')
    const redisUrl = required(config, 'redisUrl', 'the autoscaler')
    const registry = makeRegistry()
    const db = openDatabase({ url: databaseUrl, logger, applicationName: 'forebay-autoscaler', connectionsMax: 4 })
    const { pools, set } = await openConfiguredPools({ config, env: process.env, databaseUrl, clock, logger })
    const bus = openReplyBus({ url: redisUrl, logger })
    const local = localOf({ config, set, databaseUrl, clock, logger })
    const autoscaler = await startAutoscaler({
      config,
      clock,
      logger,
      registry,
      db,
      pools,
      bus,
      ...(local && { local }),
    })
    const { decisions } = autoscaler
    const ready = async () => (decisions.all().length > 0 ? undefined : 'nothing was decided yet')
    const more = makeScaleRoute({ decisions, clock })
    const ops = await startOpsServer({ host: config.host, port: config.opsPort, registry, ready, more })
    const grpc =
      config.scalerGrpcPort === undefined
        ? undefined
        : await startGrpcScaler({ host: config.host, port: config.scalerGrpcPort, decisions })
    logger.info({ opsPort: ops.port, grpcPort: grpc?.port, local: local?.max }, 'autoscaler started')
    return {
      stop: () => stopAll([...(grpc ? [grpc] : []), autoscaler, ops, { stop: () => pools.close() }, bus, db]),
    }
  },
})

/** The workers that this process starts itself, when FOREBAY_LOCAL_WORKERS says so. Throws `config_invalid` when they contradict the pool's own bounds. */
function localOf(options: { config: Config; set: PoolSet; databaseUrl: string; clock: Clock; logger: Logger }) {
  const { clock, config, databaseUrl, logger, set } = options
  if (config.localWorkers === undefined) return undefined
  const { max, min } = config.localWorkers
  const spec = poolNamed(set, config.pool)
  if (spec.maxReplicas !== undefined && min > spec.maxReplicas) {
    throw new ForebayError(
      'config_invalid',
      `FOREBAY_LOCAL_WORKERS is ${min}..${max}, and maxReplicas of the pool ${spec.name} is ${spec.maxReplicas}: the least must not be more than that.`,
    )
  }
  const env = { ...process.env, QUEUE_URL: config.queueUrl ?? databaseUrl }
  const graceMs = config.drainMs + 10_000
  const start = () => startWorkerProcess({ env, clock, graceMs })
  return {
    scaler: new LocalWorkers({ start, clock, logger, pool: config.pool }),
    min,
    max: Math.min(max, spec.maxReplicas ?? max),
  }
}
