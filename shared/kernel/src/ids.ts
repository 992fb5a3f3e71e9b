import { randomBytes } from 'node:crypto'

/**
 * A new id: `prefix` and 32 hex digits, the first 12 of them the time in milliseconds, so that ids sort by
 * creation and index well. The other 80 bits are random.
 */
export function newId(prefix: string, nowMs: number): string {
  return `${prefix}${nowMs.toString(16).padStart(12, '0')}${randomBytes(10).toString('hex')}`
}
