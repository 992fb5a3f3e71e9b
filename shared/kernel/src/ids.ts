import { randomFillSync } from 'node:crypto'

// Asking the system for 10 bytes costs about as much as asking for many.
const pool = Buffer.alloc(10 * 256)
let used = pool.length

/**
 * A new id: `prefix` and 32 hex digits, the first 12 of them the time in milliseconds, so that ids sort by
 * creation and index well. The other 80 bits are random.
 */
export function newId(prefix: string, nowMs: number): string {
  if (used >= pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const random = pool.toString('hex', used, used + 10)
  used += 10
  return `${prefix}${nowMs.toString(16).padStart(12, '0')}${random}`
}
