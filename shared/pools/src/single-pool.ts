import type { BlobStore } from '@forebay/blobs'
import type { Clock, Logger } from '@forebay/kernel'
import type { QueueProvider } from '@forebay/queue-port'
import { openPools, type Pools } from './open-pools.ts'

/** One pool on queues that are open already, serving any pool name. The queues stay open when the pools are closed. */
export function singlePool(options: {
  name: string
  queues: QueueProvider
  blobs: BlobStore
  clock: Clock
  logger: Logger
}): Pools {
  const { blobs, clock, logger, name, queues } = options
  const unsaid = {
    cloud: undefined,
    region: undefined,
    models: undefined,
    quantization: undefined,
    costPerGpuHour: undefined,
  }
  const spec = {
    name,
    queueUrl: 'open',
    blobUrl: undefined,
    ...unsaid,
    gpus: undefined,
    residency: [],
    minReplicas: 0,
    maxReplicas: undefined,
    ...{ spot: false, coldStartSeconds: undefined, tokensPerSecond: undefined },
    ...{ tier: 1, managed: false, spendCapPerDay: undefined },
  }
  return openPools({
    set: { file: undefined, pools: [spec] },
    fileStore: blobs,
    fileStoreUrl: 'open',
    ...{ clock, logger },
    leaseMs: 0,
    open: { queues: async () => ({ queue: (queue) => queues.queue(queue), close: async () => {} }) },
  })
}
