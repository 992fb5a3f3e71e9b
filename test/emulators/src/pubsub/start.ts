import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server as NetServer } from 'node:net'
import { type Clock, systemClock } from '@forebay/kernel'
import { Server, ServerCredentials, status } from '@grpc/grpc-js'
import type { Emulator } from '../emulator.ts'
import { trackSockets } from '../sockets.ts'
import { PubsubBroker, PubsubError } from './broker.ts'
import { pubsubServices } from './service.ts'

/** A Pub/Sub emulator that can also refuse calls. */
export interface PubsubEmulator extends Emulator {
  /** host:port, as PUBSUB_EMULATOR_HOST has it. */
  readonly host: string
  /** From now on refuses these methods, such as `CreateTopic`, as a role without them would. */
  deny(methods: readonly string[]): void
}

/**
 * Starts a Pub/Sub on a port of its own: the gRPC calls of synchronous pulling, leases and dead letters on the clock
 * it is given, and the one metric of Cloud Monitoring that tells a depth.
 */
export async function startPubsubEmulator(options: { clock?: Clock } = {}): Promise<PubsubEmulator> {
  const broker = new PubsubBroker({ clock: options.clock ?? systemClock })
  let throttled = 0
  let denied: readonly string[] = []
  const admit = (method: string) => {
    if (denied.includes(method)) throw new PubsubError(status.PERMISSION_DENIED, `not authorized: ${method}`)
    if (throttled === 0) return
    throttled--
    throw new PubsubError(status.RESOURCE_EXHAUSTED, 'Quota exceeded')
  }
  const grpc = new Server({ 'grpc.max_receive_message_length': 20_000_000 })
  for (const { definition, implementation } of pubsubServices(broker, admit))
    grpc.addService(definition, implementation)
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure())
  // The sockets are ours, so that they can be cut.
  const sockets = createServer((socket) => {
    socket.on('error', () => undefined)
    injector.injectConnection(socket)
  })
  const monitoring = createHttpServer((req, res) => {
    const url = new URL(req.url ?? '/', 'http://localhost')
    res.setHeader('content-type', 'application/json')
    res.end(JSON.stringify({ timeSeries: timeSeries(broker, url.searchParams.get('filter') ?? '') }))
  })
  const cut = trackSockets(sockets)
  const cutMonitoring = trackSockets(monitoring)
  const [port, monitoringPort] = await Promise.all([sockets, monitoring].map(listen))
  let stopping: Promise<unknown> | undefined
  return {
    host: `127.0.0.1:${port}`,
    url: `pubsub://test-project/forebay?endpoint=127.0.0.1:${port}&monitoring=http://127.0.0.1:${monitoringPort}`,
    cutConnections: async () => cut(),
    throttle(calls) {
      throttled = calls
    },
    deny(methods) {
      denied = methods
    },
    async stop() {
      stopping ??= Promise.all([sockets, monitoring].map((server) => new Promise((resolve) => server.close(resolve))))
      cut()
      cutMonitoring()
      grpc.forceShutdown()
      broker.stop()
      await stopping
    },
  }
}

async function listen(server: NetServer): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** The series of `num_undelivered_messages` for the subscriptions that the filter names. */
function timeSeries(broker: PubsubBroker, filter: string) {
  const [, list = ''] = /resource\.labels\.subscription_id\s*=\s*one_of\(([^)]*)\)/.exec(filter) ?? []
  return [...list.matchAll(/"([^"]*)"/g)].flatMap(([, id = '']) => {
    const undelivered = broker.undelivered(id)
    if (undelivered === undefined) return []
    return [
      {
        metric: { type: 'pubsub.googleapis.com/subscription/num_undelivered_messages' },
        resource: { type: 'pubsub_subscription', labels: { subscription_id: id } },
        points: [{ interval: { endTime: new Date().toISOString() }, value: { int64Value: String(undelivered) } }],
      },
    ]
  })
}
