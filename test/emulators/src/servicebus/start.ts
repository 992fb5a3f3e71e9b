import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { type Clock, systemClock } from '@forebay/kernel'
import type { Emulator } from '../emulator.ts'
import { trackSockets } from '../sockets.ts'
import { adminListener } from './admin.ts'
import { makeAmqpServer } from './amqp.ts'
import { errorConditions } from './management.ts'
import { Namespace } from './namespace.ts'

/** A Service Bus emulator that can also refuse calls. */
export interface ServicebusEmulator extends Emulator {
  /** Where AMQP is spoken, such as `sb://127.0.0.1:5672`. */
  readonly endpoint: string
  /** From now on refuses these HTTP methods of the management, such as `PUT`, as credentials without Manage would. */
  denyManagement(methods: readonly string[]): void
  /** Creates a queue as its operator might have, not as the driver does. */
  createQueue(name: string, settings: { lockMs?: number; requiresDuplicateDetection?: boolean }): void
}

/**
 * Starts a Service Bus on ports of its own: AMQP 1.0 with peek-lock, schedules and dead letters on the clock it is
 * given, and the management of queues over HTTP. Throttling refuses sends.
 */
export async function startServicebusEmulator(options: { clock?: Clock } = {}): Promise<ServicebusEmulator> {
  const namespace = new Namespace({ clock: options.clock ?? systemClock })
  let throttled = 0
  let denied: readonly string[] = []
  const refuseSend = () => {
    if (throttled === 0) return undefined
    throttled--
    return errorConditions.busy
  }
  const amqp = makeAmqpServer(namespace, refuseSend).listen({ host: '127.0.0.1', port: 0 })
  const admin = createServer(adminListener(namespace, (method) => (denied.includes(method) ? 401 : undefined)))
  admin.listen(0, '127.0.0.1')
  const cut = [amqp, admin].map(trackSockets)
  const [amqpPort, adminPort] = await Promise.all([amqp, admin].map(portOf))
  const endpoint = `sb://127.0.0.1:${amqpPort}`
  let stopping: Promise<unknown> | undefined
  return {
    endpoint,
    url: `servicebus://emulator/forebay?endpoint=${endpoint}&admin=http://127.0.0.1:${adminPort}`,
    async cutConnections() {
      for (const cutAll of cut) cutAll()
    },
    throttle(calls) {
      throttled = calls
    },
    denyManagement(methods) {
      denied = methods
    },
    createQueue(name, { lockMs = 30_000, requiresDuplicateDetection = false }) {
      namespace.create({ name, lockMs, maxDeliveryCount: 10, requiresDuplicateDetection, requiresSession: false })
    },
    async stop() {
      stopping ??= Promise.all([amqp, admin].map((server) => new Promise((resolve) => server.close(resolve))))
      for (const cutAll of cut) cutAll()
      namespace.stop()
      await stopping
    },
  }
}

async function portOf(server: Server): Promise<number> {
  if (!server.listening) await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
