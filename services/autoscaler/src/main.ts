import { loadConfig, required } from '@forebay/config'
import { makeLogger, makeRegistry, runProcess, startOpsServer, stopAll, systemClock } from '@forebay/kernel'
import { openConfiguredPools } from '@forebay/pools'
import { openReplyBus } from '@forebay/reply-bus'
import { openDatabase } from '@forebay/store'
import { startGrpcScaler } from './scalers/grpc-scaler.ts'
import { makeLocalScaling } from './scalers/local-scaling.ts'
import { makeScaleRoute } from './scalers/scale-route.ts'
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
    const workers = { ...process.env, QUEUE_URL: config.queueUrl ?? databaseUrl }
    const local = makeLocalScaling({ config, set, env: workers, clock, logger })
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
