import type { BlobStore } from '@forebay/blobs'
import { queueName } from '@forebay/contracts'
import { type Clock, describeError } from '@forebay/kernel'
import type { QueueProvider } from '@forebay/queue-port'
import type { ReplyBus } from '@forebay/reply-bus'
import type { Database } from '@forebay/store'

const patienceMs = 2_000

/** Asks each thing that the gateway stands on; the answer names those in trouble, undefined when there are none. */
export async function findTrouble(options: {
  db: Database
  blobs: BlobStore
  queues: QueueProvider
  bus: ReplyBus
  clock: Clock
  pool: string
}): Promise<string | undefined> {
  const { db, blobs, queues, bus, clock } = options
  const checks: Record<string, () => Promise<unknown>> = {
    database: () => db.query('SELECT 1'),
    blobs: () => blobs.check(),
    queue: () => queues.queue(queueName(options.pool, 'realtime')).depth(),
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
