import { ForebayError, isForebayError } from '@forebay/kernel'
import type { Fault, ObjectBackend } from './object-backend.ts'

const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ERR_STREAM_PREMATURE_CLOSE',
  'REQUEST_SEND_ERROR',
  'TimeoutError',
  'UND_ERR_SOCKET',
])

/** What an HTTP status of an object store means; undefined for one that says nothing of its own. */
export function faultOfStatus(status: number | undefined): Fault | undefined {
  if (status === undefined) return undefined
  if (status === 404) return { kind: 'missing' }
  if (status === 416) return { kind: 'past_end' }
  if (status === 401 || status === 403) return { kind: 'denied' }
  if (status === 408 || status === 429 || status >= 500) return { kind: 'busy' }
  return undefined
}

/** `busy` when the error, or what caused it, is a connection that could not be made or did not last. */
export function faultOfNetwork(err: unknown): Fault | undefined {
  return networkCodeOf(err) === undefined ? undefined : { kind: 'busy' }
}

/** Turns an error of the store into ours; its message names no bucket, for a caller may see it. */
export function blobError(backend: Pick<ObjectBackend, 'faultOf'>, err: unknown, key: string): ForebayError {
  if (isForebayError(err)) return err
  const fault = backend.faultOf(err)
  const options = { cause: err }
  switch (fault?.kind) {
    case 'missing':
      return new ForebayError('not_found', `There is no blob '${key}'.`, options)
    case 'past_end':
      return new ForebayError('not_found', `The blob '${key}' ends before the range asked for.`, options)
    case 'busy':
      return new ForebayError('unavailable', 'The blob store is busy or cannot be reached. Retry later.', options)
    case 'denied':
      return new ForebayError('permission_denied', 'The blob store refused the credentials of this service.', {
        ...options,
        status: 500,
      })
    case 'config':
      return new ForebayError('config_invalid', 'The blob store is not set up as BLOB_URL says.', options)
    default:
      return new ForebayError('internal', `The blob store refused a request for '${key}'.`, options)
  }
}

/** The same for `check`, whose reader runs the service: names the store, and the permission that is missing. */
export function checkError(backend: ObjectBackend, err: unknown, need: keyof ObjectBackend['permissions']): unknown {
  if (isForebayError(err)) return err
  const { place } = backend
  const fault = backend.faultOf(err)
  const options = { cause: err }
  if (fault?.kind === 'missing' && need === 'write') {
    return new ForebayError('config_invalid', `BLOB_URL: ${place} does not exist. Create it or name another.`, options)
  }
  switch (fault?.kind) {
    case 'denied':
      return new ForebayError(
        'permission_denied',
        `BLOB_URL: the credentials may not ${need} in ${place}. Grant them ${backend.permissions[need]}.`,
        options,
      )
    case 'busy':
      return new ForebayError(
        'unavailable',
        `BLOB_URL: ${place} is busy or cannot be reached (${networkCodeOf(err) ?? 'it asked to come back later'}).`,
        options,
      )
    case 'config':
      return new ForebayError('config_invalid', `BLOB_URL: ${fault.hint}`, options)
    default:
      return new ForebayError(
        'config_invalid',
        `BLOB_URL: ${place} refused to ${need} a test object: ${err instanceof Error ? err.message : String(err)}`,
        options,
      )
  }
}

function networkCodeOf(err: unknown, depth = 0): string | undefined {
  if (!(err instanceof Error) || depth > 5) return undefined
  const code = 'code' in err && typeof err.code === 'string' ? err.code : err.name
  if (networkCodes.has(code)) return code
  if (/socket hang up|premature close|\baborted\b|network error|fetch failed/i.test(err.message)) return 'ECONNRESET'
  return networkCodeOf(err.cause, depth + 1)
}
