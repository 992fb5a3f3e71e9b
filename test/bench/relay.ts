import type { Running } from '@forebay/kernel'
import { type Helper, startHelper } from './load.ts'
import type { RelayGatewayTask, RelayGatewayUp } from './relay-gateway-process.ts'
import type { RelayWorkerTask, RelayWorkerUp } from './relay-worker-process.ts'

/** A bare relay: the hops of a live request (HTTP, a Redis stream, the engine, a Redis channel) with nothing in them. */
export interface Relay extends Running {
  url: string
}

/** Starts its two processes on a Redis that others may use too; it keeps nothing there. */
export async function startRelay(options: RelayWorkerTask): Promise<Relay> {
  const gateway: Helper<RelayGatewayTask, RelayGatewayUp> = startHelper('./relay-gateway-process.ts')
  const worker: Helper<RelayWorkerTask, RelayWorkerUp> = startHelper('./relay-worker-process.ts')
  const stop = async () => {
    await Promise.all([gateway.stop(), worker.stop()])
  }
  try {
    await worker.run(options)
    const { url } = await gateway.run({ redisUrl: options.redisUrl })
    return { url, stop }
  } catch (err) {
    await stop()
    throw err
  }
}
