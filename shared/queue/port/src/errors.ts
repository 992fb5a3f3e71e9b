import { ForebayError } from '@forebay/kernel'

/** `lease_lost`: the message is no longer held by the caller. */
export function leaseLost(id: string, cause?: unknown): ForebayError {
  return new ForebayError('lease_lost', `The lease on message "${id}" has ended: another consumer may run it.`, {
    cause,
  })
}

/** `queue_too_large`: one message is over the broker's limit. */
export function bodyTooLarge(id: string, bytes: number, bytesMax: number): ForebayError {
  return new ForebayError(
    'queue_too_large',
    `Message "${id}" has a body of ${bytes} bytes and the queue takes ${bytesMax}: send it through a body store.`,
  )
}

/** `unavailable`: the queue was closed by this process. */
export function queueClosed(name: string): ForebayError {
  return new ForebayError('unavailable', `Queue "${name}" is closed in this process.`)
}
