import { createHash } from 'node:crypto'

/** A number from 0 up to, not including, 1, the same for the same text. */
export function shareOf(text: string): number {
  return createHash('sha256').update(text).digest().readUIntBE(0, 6) / 2 ** 48
}
