import type { Clock, Logger } from '@forebay/kernel'
import type { Lease, QueueDriver } from '@forebay/queue-port'
import { attributeNames, deadReasonOf, remainingDelayMs } from './attributes.ts'
import { type JobCodec, NewerVersionError } from './codec.ts'
import type { Outcome } from './job.ts'
import { makeSettler } from './settler.ts'

const perRound = 64
const roundsMax = 1_000
const waitMs = 200

/**
 * Looks at every job that waits on a queue, and drops those for which `drop` holds; the others go back, behind what came
 * meanwhile. With `dead` it looks at the dead letters, too, also at those that the broker itself set aside: of these what
 * is no job goes back without its content, and every other is a job again. Without `whole` it ends with the first few
 * jobs of which none was dropped: the oldest come first. A job whose body is stored beside the queue is left. Answers how many were dropped.
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
  whole: boolean
}): Promise<number> {
  const { driver, leaseMs } = options
  const settler = makeSettler({ ...options, maxAttempts: Number.MAX_SAFE_INTEGER })
  if (options.dead > 0) await driver.redrive({ max: options.dead })
  const seen = new Set<string>()
  let dropped = 0
  for (let round = 0; round < roundsMax; round++) {
    const leases = await driver.receive({ max: perRound, waitMs, leaseMs })
    const before = dropped
    const fresh = leases.filter(({ id }) => !seen.has(id))
    for (const { id } of leases) seen.add(id)
    for (const lease of leases) {
      const outcome = outcomeOf(lease, options)
      if (outcome.kind === 'done') dropped++
      await settler.settle(lease, outcome)
    }
    if (fresh.length === 0 || (!options.whole && dropped === before)) break
  }
  return dropped
}

function outcomeOf<T>(lease: Lease, options: { codec: JobCodec<T>; clock: Clock; drop: (job: T) => boolean }): Outcome {
  const reason = deadReasonOf(lease)
  if (reason) return { kind: 'dead', ...reason }
  const back: Outcome = { kind: 'snooze', delayMs: remainingDelayMs(lease, options.clock.now()) }
  if (lease.attributes[attributeNames.body] !== undefined) return back
  try {
    return options.drop(options.codec.decode(lease.body)) ? { kind: 'done' } : back
  } catch (err) {
    // Others can read it.
    return err instanceof NewerVersionError ? back : { kind: 'dead', code: 'undecodable' }
  }
}
