import { ForebayError } from '@forebay/kernel'

/** Throws `queue_invalid` unless the name would be legal on every broker: letters, digits, `.`, `-`, `_`; 1 to 72 long. */
export function checkQueueName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,71}$/.test(name)) return name
  throw new ForebayError(
    'queue_invalid',
    `Queue name "${name}" is not valid: use 1 to 72 letters, digits, ".", "-" or "_", such as "default.batch".`,
  )
}
