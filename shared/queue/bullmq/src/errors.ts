import { ForebayError, isForebayError } from '@forebay/kernel'

const unavailable =
  /ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|[Cc]onnection|[Tt]imed? ?out|timeout|writeable|max retries|LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|terminat|starting up|shutting down|recovery mode/

/** A failure of Redis, Postgres or BullMQ as one of the port's codes. */
export function toQueueError(err: unknown, queue: string): ForebayError {
  if (isForebayError(err)) return err
  const code = err instanceof Error && 'code' in err ? String(err.code) : ''
  const text = `${code} ${err instanceof Error ? `${err.name} ${err.message}` : String(err)}`
  const options = { cause: err }
  if (/NOPERM|NOAUTH|WRONGPASS|^(42501|28000|28P01) /.test(text)) {
    return new ForebayError(
      'queue_denied',
      `The queue "${queue}" refused our credentials: check the queue URL.`,
      options,
    )
  }
  if (/\bOOM\b|^(53\w{3}) /.test(text)) {
    return new ForebayError(
      'overloaded',
      `The broker of queue "${queue}" is out of memory, disk or connections.`,
      options,
    )
  }
  if (unavailable.test(text) || /^(08|57P)/.test(code)) {
    return new ForebayError('unavailable', `The broker of queue "${queue}" cannot be reached just now.`, options)
  }
  if (/^(3F000|42P01|42883) /.test(text)) {
    return new ForebayError('not_found', `The tables of queue "${queue}" are gone: restart to create them.`, options)
  }
  return new ForebayError('queue_invalid', `The broker of queue "${queue}" refused a command.`, options)
}

/** BullMQ's numbers for "that lock is not yours": missing job, missing lock, not active, wrong token. */
const lockCodes = new Set([-1, -2, -3, -6])

/** True when BullMQ says that the caller no longer holds the job. */
export function isLockLost(err: unknown): boolean {
  return err instanceof Error && 'code' in err && typeof err.code === 'number' && lockCodes.has(err.code)
}
