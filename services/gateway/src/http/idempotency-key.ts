import { ForebayError } from '@forebay/kernel'

/** The Idempotency-Key of a request; null when it has none. Throws `invalid_value` for one that is no such key. */
export function idempotencyKey(header: string | string[] | undefined): string | null {
  if (header === undefined) return null
  if (typeof header === 'string' && /^[\x21-\x7e][\x20-\x7e]{0,254}$/.test(header)) return header
  throw new ForebayError('invalid_value', "Invalid 'Idempotency-Key': expected 1 to 255 printable ASCII characters.")
}
