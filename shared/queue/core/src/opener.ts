import { backoffMs, type Clock, describeError, isForebayError, type Logger } from '@forebay/kernel'
import type { Lease, QueueDriver } from '@forebay/queue-port'
import { attemptOf, attributeNames, deadReasonOf, enqueuedAtOf, remainingDelayMs } from './attributes.ts'
import type { BodyStore } from './body-store.ts'
import { type JobCodec, NewerVersionError } from './codec.ts'
import { HeldJob } from './held-job.ts'
import type { Outcome } from './job.ts'

/** A body that is not there may be in a folder not mounted yet; more often the job was done by another holder. */
const bodyTries = 5

/** A job, or the outcome that is to end the lease unseen. */
export type Opened<T> = HeldJob<T> | Outcome

/** Turns leases into jobs: at once where the body is in the message, else when the body store has answered. Never throws. */
export function makeOpener<T>(options: {
  driver: QueueDriver
  codec: JobCodec<T>
  clock: Clock
  logger: Logger
  maxAttempts: number
  bodies?: BodyStore
  retry?: { firstMs: number; maxMs: number }
}): (lease: Lease) => Opened<T> | Promise<Opened<T>> {
  const { bodies, clock, codec, driver, logger, maxAttempts, retry = { firstMs: 1_000, maxMs: 60_000 } } = options

  const decode = (lease: Lease, attempt: number, body: Uint8Array): Opened<T> => {
    try {
      return new HeldJob({ lease, job: codec.decode(body), attempt, enqueuedAt: enqueuedAtOf(lease) })
    } catch (err) {
      if (err instanceof NewerVersionError) return { kind: 'dead', code: 'newer_version', detail: err.message }
      return { kind: 'dead', code: 'undecodable', detail: err instanceof Error ? err.name : 'not an Error' }
    }
  }

  const openStored = async (lease: Lease, attempt: number, key: string): Promise<Opened<T>> => {
    const fields = { queue: driver.name, jobId: lease.id }
    let gone = false
    try {
      if (bodies) return decode(lease, attempt, await bodies.get(key))
      logger.error(fields, 'job body is in a body store and this receiver has none')
    } catch (err) {
      logger.warn({ ...fields, error: describeError(err) }, 'job body could not be read')
      gone = isForebayError(err) && err.code === 'not_found'
    }
    if (gone && attempt >= bodyTries) {
      return { kind: 'dead', code: 'body_gone', detail: 'its body is no longer in the body store' }
    }
    return { kind: 'retry', delayMs: backoffMs(attempt, retry), reason: 'its body could not be read' }
  }

  return (lease) => {
    const dead = deadReasonOf(lease)
    if (dead) return { kind: 'dead', ...dead }
    const delayMs = remainingDelayMs(lease, clock.now())
    if (delayMs > 0) return { kind: 'snooze', delayMs }
    const attempt = attemptOf(lease)
    if (attempt > maxAttempts) {
      const detail = `delivered ${attempt} times, ${maxAttempts} allowed`
      return { kind: 'dead', code: 'max_attempts', detail }
    }
    const key = lease.attributes[attributeNames.body]
    return key === undefined ? decode(lease, attempt, lease.body) : openStored(lease, attempt, key)
  }
}
