import { ForebayError, isForebayError } from '@forebay/kernel'
import { toRedisError } from '@forebay/redis'

const postgresAway = /terminat|starting up|shutting down|recovery mode/

/** A failure of Redis, Postgres or BullMQ as one of the port's codes. */
export function toQueueError(err: unknown, queue: string): ForebayError {
  if (isForebayError(err)) return err
  const code = err instanceof Error && 'code' in err ? String(err.code) : ''
  const options = { cause: err }
  if (/^(42501|28000|28P01)$/.test(code)) {
    return new ForebayError(
      'queue_denied',
      `The queue "${queue}" refused our credentials: check the queue URL.`,
      options,
    )
  }
  if (/^53\w{3}$/.test(code)) {
    return new ForebayError(
      'overloaded',
      `The broker of queue "${queue}" is out of memory, disk or connections.`,
      options,
    )
  }
  if (/^(08|57P)/.test(code) || (err instanceof Error && postgresAway.test(err.message))) {
    return new ForebayError('unavailable', `The broker of queue "${queue}" cannot be reached just now.`, options)
  }
  if (/^(3F000|42P01|42883)$/.test(code)) {
    return new ForebayError('not_found', `The tables of queue "${queue}" are gone: restart to create them.`, options)
  }
  return toRedisError(err, queue)
}

/** BullMQ's numbers for "that lock is not yours": missing job, missing lock, not active, wrong token. */
const lockCodes = new Set([-1, -2, -3, -6])

/** True when BullMQ says that the caller no longer holds the job. */
export function isLockLost(err: unknown): boolean {
  return err instanceof Error && 'code' in err && typeof err.code === 'number' && lockCodes.has(err.code)
}
