import { type BlobStore, openBlobs } from '@forebay/blobs'
import { type Clock, describeError, ForebayError, type Logger } from '@forebay/kernel'
import type { ModelSpec } from '@forebay/model-registry'
import type { QueueProvider } from '@forebay/queue-port'
import { openQueues } from '@forebay/queue-select'
import type { AliasRule } from '@forebay/router'
import { CircuitBreaker, isBrokerFault, isStoreFault, type Trouble } from './circuit-breaker.ts'
import { guardBlobs, guardQueues } from './guard.ts'
import { type PoolSet, type PoolSpec, type RoutingSpec, routingUsual } from './pool-spec.ts'

const openMs = 15_000

/** The pools, each with its broker and store. What one of them suffers never reaches another. */
export interface Pools {
  /** As configured, in the file's order. */
  list(): readonly PoolSpec[]
  /** How one of them is chosen. */
  readonly routing: RoutingSpec
  /** The models' aliases. */
  readonly routes: readonly AliasRule[]
  /** The models that the file describes. */
  readonly models: readonly ModelSpec[]
  /** Undefined for a pool that is not configured. */
  spec(name: string): PoolSpec | undefined
  /** True when the pool may be used: configured, or any name when there is no file. */
  knows(name: string): boolean
  /** The pool's queues, opened on first use. Rejects while the broker cannot be reached (the next call tries again), and for an unknown pool. */
  queues(name: string): Promise<QueueProvider>
  /** The pool's blob store, where its workers read chunks and write parts. Throws `config_invalid` for an unknown pool. */
  blobs(name: string): BlobStore
  /** True when that is the store that files are uploaded to. */
  sharesFileStore(name: string): boolean
  /** Why nothing should be sent to the pool: its broker or its store does not answer. Undefined while they do. */
  trouble(name: string): Trouble | undefined
  /** Asks the stores of pools that have their own whether they still answer; `trouble` then knows. Never rejects. */
  probeStores(): Promise<void>
  /** Closes every broker that was opened. Safe to repeat. */
  close(): Promise<void>
}

interface OpenPool {
  spec: PoolSpec
  broker: CircuitBreaker
  store: CircuitBreaker
  own: BlobStore | undefined
  queues: Promise<QueueProvider> | undefined
}

/**
 * Opens the pools lazily: nothing is connected yet. Pools with equal URLs share one connection, but not their
 * breakers. `fileStore` is where files are uploaded to, `fileStoreUrl` its URL.
 */
export function openPools(options: {
  set: PoolSet
  fileStore: BlobStore
  fileStoreUrl: string
  clock: Clock
  logger: Logger
  leaseMs: number
  /** Lanes on which a client waits do not leave this process. */
  liveInProcess?: boolean
  /** How brokers and stores are opened; by their URLs when not given. */
  open?: { queues?: (url: string) => Promise<QueueProvider>; blobs?: (url: string) => BlobStore }
}): Pools {
  const { clock, fileStore, fileStoreUrl, leaseMs, liveInProcess = false, logger, set } = options
  const openQueuesOf =
    options.open?.queues ?? ((url: string) => openQueues({ url, clock, logger, leaseMs, liveInProcess }))
  const openBlobsOf = options.open?.blobs ?? ((url: string) => openBlobs({ url }))
  const providers = new Map<string, Promise<QueueProvider>>()
  const stores = new Map<string, BlobStore>([[fileStoreUrl, fileStore]])
  const pools = new Map(set.pools.map((spec) => [spec.name, makePool(spec)]))
  let closing: Promise<void> | undefined

  function makePool(spec: PoolSpec): OpenPool {
    const broker = new CircuitBreaker({ clock, what: `The queue of pool ${spec.name}`, isFault: isBrokerFault })
    const store = new CircuitBreaker({ clock, what: `The blob store of pool ${spec.name}`, isFault: isStoreFault })
    const url = spec.blobUrl ?? fileStoreUrl
    const raw = stores.get(url) ?? openBlobsOf(url)
    stores.set(url, raw)
    return { spec, broker, store, own: raw === fileStore ? undefined : guardBlobs(raw, store), queues: undefined }
  }

  // Without a file, a pool that announces itself under another name has its queues on the same broker.
  const find = (name: string): OpenPool => {
    const pool = pools.get(name) ?? (set.file === undefined ? pools.values().next().value : undefined)
    if (pool) return pool
    throw new ForebayError(
      'config_invalid',
      `The pool '${name}' is not in ${set.file ?? 'the configuration'}: add it there.`,
    )
  }

  const provider = (url: string): Promise<QueueProvider> => {
    const known = providers.get(url)
    if (known) return known
    if (closing) return Promise.reject(new ForebayError('unavailable', 'The pools are closed in this process.'))
    const opened = openQueuesOf(url)
    providers.set(url, opened)
    opened.catch(() => providers.delete(url))
    return opened
  }

  const queues = (pool: OpenPool): Promise<QueueProvider> => {
    pool.queues ??= pool.broker
      .run(() => provider(pool.spec.queueUrl), { patienceMs: openMs })
      .then((opened) => guardQueues(opened, pool.broker))
      .catch((err: unknown) => {
        pool.queues = undefined
        throw err
      })
    return pool.queues
  }

  const close = async () => {
    const opened = await Promise.allSettled(providers.values())
    await Promise.allSettled(opened.map((one) => one.status === 'fulfilled' && one.value.close()))
  }

  return {
    list: () => set.pools,
    routing: set.routing ?? routingUsual,
    routes: set.routes ?? [],
    models: set.models ?? [],
    spec: (name) => pools.get(name)?.spec,
    knows: (name) => set.file === undefined || pools.has(name),
    queues: async (name) => queues(find(name)),
    blobs: (name) => find(name).own ?? fileStore,
    sharesFileStore: (name) => find(name).own === undefined,
    trouble(name) {
      const { broker, store } = find(name)
      const [queue, blobs] = [broker.trouble(), store.trouble()]
      if (queue) return { ...queue, reason: `its queue cannot be used: ${queue.reason}` }
      return blobs && { ...blobs, reason: `its blob store cannot be used: ${blobs.reason}` }
    },
    async probeStores() {
      await Promise.all(
        [...pools.values()].map(({ own, spec }) =>
          own?.size('forebay-probe').catch((err: unknown) => {
            logger.debug({ pool: spec.name, reason: describeError(err) }, 'blob store of a pool does not answer')
          }),
        ),
      )
    },
    close: () => (closing ??= close()),
  }
}
