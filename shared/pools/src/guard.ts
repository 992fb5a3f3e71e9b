import type { BlobStore } from '@forebay/blobs'
import type { ItemResult, QueueDriver, QueueProvider } from '@forebay/queue-port'
import type { CircuitBreaker } from './circuit-breaker.ts'

const askMs = 5_000
const sendMs = 5_000
const storeMs = 30_000

/** The same queues, their `ensure`, `send` and `depth` through the breaker; `depth` makes a queue that is not there. Receiving waits by nature, so it goes past it. */
export function guardQueues(provider: QueueProvider, breaker: CircuitBreaker): QueueProvider {
  const guarded = new Map<string, QueueDriver>()
  return {
    queue(name) {
      const known = guarded.get(name) ?? guardDriver(provider.queue(name), breaker)
      guarded.set(name, known)
      return known
    },
    close: () => provider.close(),
  }
}

const sending = { patienceMs: sendMs, faultOf: firstError }

function firstError(results: readonly ItemResult[]): unknown {
  for (const result of results) if (!result.ok) return result.error
  return undefined
}

function guardDriver(driver: QueueDriver, breaker: CircuitBreaker): QueueDriver {
  let there: Promise<void> | undefined
  // A queue that nobody has made yet is no sign of trouble; one that went missing is made again.
  const depth = async () => {
    try {
      there ??= driver.ensure()
      await there
      return await driver.depth()
    } catch (err) {
      there = undefined
      throw err
    }
  }
  return {
    name: driver.name,
    capabilities: driver.capabilities,
    ensure: () => breaker.run(() => driver.ensure(), { patienceMs: sendMs }),
    send: (items) => breaker.run(() => driver.send(items), sending),
    depth: () => breaker.run(depth, { patienceMs: askMs }),
    receive: (options) => driver.receive(options),
    ack: (leases) => driver.ack(leases),
    nack: (lease, options) => driver.nack(lease, options),
    extend: (lease, leaseMs) => driver.extend(lease, leaseMs),
    deadLetter: (lease, reason) => driver.deadLetter(lease, reason),
    redrive: (options) => driver.redrive(options),
    purge: () => driver.purge(),
    close: () => driver.close(),
  }
}

/** The same store, its calls that end soon through the breaker. */
export function guardBlobs(store: BlobStore, breaker: CircuitBreaker): BlobStore {
  const guard = <T>(work: () => Promise<T>) => breaker.run(work, { patienceMs: storeMs })
  return {
    put: (key, source) => guard(() => store.put(key, source)),
    read: (key, range) => store.read(key, range),
    readRange: (key, start, end) => guard(() => store.readRange(key, start, end)),
    size: (key) => breaker.run(() => store.size(key), { patienceMs: askMs }),
    delete: (key) => guard(() => store.delete(key)),
    deletePrefix: (prefix) => store.deletePrefix(prefix),
    check: () => guard(() => store.check()),
  }
}
