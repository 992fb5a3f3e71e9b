import type { Clock, Logger } from '@forebay/kernel'
import type { Lease, QueueDriver } from '@forebay/queue-port'
import { attributeNames, deadReasonOf } from './attributes.ts'
import type { JobCodec } from './codec.ts'
import type { Outcome } from './job.ts'
import { makeSettler } from './settler.ts'

const perRound = 64
const roundsMax = 1_000
const waitMs = 200

/**
 * Looks at every job that waits on a queue, and drops those for which `drop` holds; the others go back, behind what came
 * meanwhile. With `dead` it looks at the dead letters, too, also at those that the broker itself set aside: of these what
 * is no job goes back without its content, and every other is a job again. A body that is stored beside the queue is left. Answers how many were dropped.
 */
export async function dropJobs<T>(options: {
  driver: QueueDriver
  codec: JobCodec<T>
  clock: Clock
  logger: Logger
  leaseMs: number
  drop: (job: T) => boolean
  /** Most dead letters to look at. */
  dead: number
}): Promise<number> {
  const { codec, driver, drop, leaseMs } = options
  const settler = makeSettler({ ...options, maxAttempts: Number.MAX_SAFE_INTEGER })
  if (options.dead > 0) await driver.redrive({ max: options.dead })
  const seen = new Set<string>()
  let dropped = 0
  for (let round = 0; round < roundsMax; round++) {
    const leases = await driver.receive({ max: perRound, waitMs, leaseMs })
    const fresh = leases.filter(({ id }) => !seen.has(id))
    for (const { id } of leases) seen.add(id)
    for (const lease of leases) {
      const outcome = outcomeOf(lease, codec, drop)
      if (outcome.kind === 'done') dropped++
      await settler.settle(lease, outcome)
    }
    if (fresh.length === 0) break
  }
  return dropped
}

function outcomeOf<T>(lease: Lease, codec: JobCodec<T>, drop: (job: T) => boolean): Outcome {
  const reason = deadReasonOf(lease)
  if (reason) return { kind: 'dead', ...reason }
  if (lease.attributes[attributeNames.body] !== undefined) return { kind: 'snooze', delayMs: 0 }
  try {
    return drop(codec.decode(lease.body)) ? { kind: 'done' } : { kind: 'snooze', delayMs: 0 }
  } catch {
    return { kind: 'dead', code: 'undecodable' }
  }
}
