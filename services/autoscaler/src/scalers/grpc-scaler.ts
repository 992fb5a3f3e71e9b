import { fileURLToPath } from 'node:url'
import type { Running } from '@forebay/kernel'
import {
  type handleUnaryCall,
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { DecisionBook, Standing } from '../decision-book.ts'

interface ObjectRef {
  name?: string
  scalerMetadata?: Record<string, string>
}

const metricName = 'forebay-workers'

/** The service's definition, from its proto file beside this one. */
export function externalScalerDefinition(): ServiceDefinition {
  const path = fileURLToPath(new URL('externalscaler.proto', import.meta.url))
  const loaded = loadPackageDefinition(
    loadSync(path, { keepCase: true, longs: Number, defaults: true }),
  ) as unknown as {
    externalscaler: { ExternalScaler: { service: ServiceDefinition } }
  }
  return loaded.externalscaler.ExternalScaler.service
}

/**
 * KEDA's external scaler over gRPC, for triggers `external` and `external-push` with `pool` in their metadata: the metric
 * is the number of workers that the pool should have, its target 1. Changes between none and some are pushed at once.
 */
export async function startGrpcScaler(options: {
  host: string
  port: number
  decisions: DecisionBook
}): Promise<Running & { port: number }> {
  const { decisions } = options
  const server = new Server()
  const streams = new Set<ServerWritableStream<ObjectRef, { result: boolean }>>()

  function find(ref: ObjectRef | undefined): Standing {
    const pool = ref?.scalerMetadata?.['pool']
    if (!pool) {
      throw Object.assign(new Error("The trigger's metadata names no pool."), { code: status.INVALID_ARGUMENT })
    }
    const standing = decisions.get(pool)
    if (standing) return standing
    throw Object.assign(new Error(`Nothing was decided for a pool '${pool}'.`), { code: status.NOT_FOUND })
  }
  const unary =
    <Req, Res>(answer: (request: Req) => Res): handleUnaryCall<Req, Res> =>
    (call: { request: Req }, done: sendUnaryData<Res>) => {
      try {
        done(null, answer(call.request))
      } catch (err) {
        done(err as Error & { code: number })
      }
    }

  server.addService(externalScalerDefinition(), {
    IsActive: unary((ref: ObjectRef) => ({ result: find(ref).desired > 0 })),
    GetMetricSpec: unary((ref: ObjectRef) => {
      find(ref)
      return { metricSpecs: [{ metricName, targetSize: 1, targetSizeFloat: 1 }] }
    }),
    GetMetrics: unary(({ scaledObjectRef }: { scaledObjectRef?: ObjectRef }) => {
      const { desired } = find(scaledObjectRef)
      return { metricValues: [{ metricName, metricValue: desired, metricValueFloat: desired }] }
    }),
    StreamIsActive(call: ServerWritableStream<ObjectRef, { result: boolean }>) {
      let told: boolean | undefined
      const tell = () => {
        const standing = decisions.get(call.request.scalerMetadata?.['pool'] ?? '')
        if (!standing || standing.desired > 0 === told) return
        told = standing.desired > 0
        call.write({ result: told })
      }
      const forget = decisions.onChange(tell)
      streams.add(call)
      call.on('cancelled', () => {
        forget()
        streams.delete(call)
        call.end()
      })
      tell()
    },
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${options.host}:${options.port}`, ServerCredentials.createInsecure(), (err, bound) =>
      err ? reject(err) : resolve(bound),
    )
  })
  let stopped: Promise<void> | undefined
  const stop = async () => {
    for (const stream of streams) stream.end()
    server.forceShutdown()
  }
  return { port, stop: () => (stopped ??= stop()) }
}
