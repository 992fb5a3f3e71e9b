import { runService } from '@forebay/service-process'
import { startGrpcScaler } from './scalers/grpc-scaler.ts'
import { makeLocalScaling } from './scalers/local-scaling.ts'
import { makeScaleRoute } from './scalers/scale-route.ts'
import { startAutoscaler } from './start-autoscaler.ts'

await runService({
  name: 'autoscaler',
  env: process.env,
  async start(parts) {
    const { clock, config, logger } = parts
    const db = parts.openDatabase({ connectionsMax: 4 })
    const bus = parts.openReplyBus()
    const { pools, set } = await parts.openPools()
    const workers = { ...parts.env, QUEUE_URL: config.queueUrl ?? parts.required('databaseUrl') }
    const local = makeLocalScaling({ config, set, env: workers, clock, logger })
    const autoscaler = parts.keep(await startAutoscaler({ ...parts, db, pools, bus, ...(local && { local }) }))
    const { decisions } = autoscaler
    const ready = async () => (decisions.all().length > 0 ? undefined : 'nothing was decided yet')
    const ops = await parts.serveOps({ ready, more: makeScaleRoute({ decisions, clock }) })
    const { host, scalerGrpcPort: port } = config
    const grpc = port === undefined ? undefined : parts.keep(await startGrpcScaler({ host, port, decisions }))
    return { opsPort: ops.port, grpcPort: grpc?.port, local: local?.max }
  },
})
