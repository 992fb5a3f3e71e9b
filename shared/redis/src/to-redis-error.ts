import { ForebayError, isForebayError } from '@forebay/kernel'

const unavailable =
  /ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|[Cc]onnection|[Tt]imed? ?out|timeout|writeable|max retries|LOADING|READONLY|MASTERDOWN|CLUSTERDOWN/

/** A failure of Redis or of the way to it, met by the queue of that name, as one of the queue port's codes. */
export function toRedisError(err: unknown, queue: string): ForebayError {
  if (isForebayError(err)) return err
  const code = err instanceof Error && 'code' in err ? String(err.code) : ''
  const text = `${code} ${err instanceof Error ? `${err.name} ${err.message}` : String(err)}`
  const options = { cause: err }
  if (/NOPERM|NOAUTH|WRONGPASS/.test(text)) {
    return new ForebayError(
      'queue_denied',
      `The queue "${queue}" refused our credentials: check the queue URL.`,
      options,
    )
  }
  if (/\bOOM\b/.test(text)) {
    return new ForebayError('overloaded', `The broker of queue "${queue}" is out of memory.`, options)
  }
  if (unavailable.test(text)) {
    return new ForebayError('unavailable', `The broker of queue "${queue}" cannot be reached just now.`, options)
  }
  return new ForebayError('queue_invalid', `The broker of queue "${queue}" refused a command.`, options)
}
