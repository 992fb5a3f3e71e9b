import type { BlobStore } from '@forebay/blobs'
import { queueName } from '@forebay/contracts'
import { type Clock, describeError } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import type { ReplyBus } from '@forebay/reply-bus'
import type { Database } from '@forebay/store'

const patienceMs = 2_000

/** Asks each thing that the gateway stands on; the answer names those in trouble, undefined when there are none. */
export async function findTrouble(options: {
  db: Database
  blobs: BlobStore
  pools: Pools
  bus: ReplyBus
  clock: Clock
}): Promise<string | undefined> {
  const { db, blobs, pools, bus, clock } = options
  const checks: Record<string, () => Promise<unknown>> = {
    database: () => db.query('SELECT 1'),
    blobs: () => blobs.check(),
    queue: () => askPools(pools),
    'reply bus': async () => {
      const reason = bus.trouble()
      if (reason !== undefined) throw new Error(reason)
    },
  }
  const found = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      const patience = new AbortController()
      const late = clock.sleep(patienceMs, patience.signal).then(
        () => `${name}: no answer within ${patienceMs} ms`,
        () => undefined,
      )
      const asked = check().then(
        () => undefined,
        (err: unknown) => `${name}: ${describeError(err)}`,
      )
      const reason = await Promise.race([asked, late])
      patience.abort()
      return reason
    }),
  )
  const reasons = found.filter((reason) => reason !== undefined)
  return reasons.length > 0 ? reasons.join('; ') : undefined
}

/** Rejects when no pool's queue answers: one that does is enough to serve. */
async function askPools(pools: Pools): Promise<void> {
  const asked = pools.list().map(async ({ name }) => {
    await (await pools.queues(name)).queue(queueName(name, 'realtime')).depth()
  })
  try {
    await Promise.any(asked)
  } catch (err) {
    throw new Error(err instanceof AggregateError ? err.errors.map(describeError).join(', ') : describeError(err))
  }
}
