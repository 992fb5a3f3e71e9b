/**
 * A plan: one fixed-size entry per request of a batch, in the order in which they are to run. 50,000 requests take
 * under a mebibyte. Little-endian:
 *
 *   0  u40  offset of the line in the input file
 *   5  u24  length of the line in bytes, without its line feed
 *   8  u32  line number, from 1
 *  12  u24  estimated tokens, prompt and output together
 *  15  u32  prefix group: equal for requests that share a prompt prefix, 0 when none
 *  19  u8   flags
 */
export const planEntryBytes = 20
const flagsAt = 19

export interface PlanEntry {
  offset: number
  length: number
  line: number
  estTokens: number
  prefixGroup: number
  flags: number
}

/** The request is deterministic and its body is the same as the entry's before it. */
export const flagSameAsPrevious = 1

export const planLimits = { offsetMax: 2 ** 40 - 1, lengthMax: 2 ** 24 - 1, estTokensMax: 2 ** 24 - 1 } as const

/** Writes an entry at `position` entries into `buffer`. Throws RangeError when a field does not fit. */
export function writePlanEntry(buffer: Buffer, position: number, entry: PlanEntry): void {
  const at = position * planEntryBytes
  buffer.writeUIntLE(entry.offset, at, 5)
  buffer.writeUIntLE(entry.length, at + 5, 3)
  buffer.writeUInt32LE(entry.line, at + 8)
  buffer.writeUIntLE(entry.estTokens, at + 12, 3)
  buffer.writeUInt32LE(entry.prefixGroup, at + 15)
  buffer.writeUInt8(entry.flags, at + flagsAt)
}

/** Reads the entry at `position` entries into `buffer`. */
export function readPlanEntry(buffer: Buffer, position: number): PlanEntry {
  const at = position * planEntryBytes
  return {
    offset: buffer.readUIntLE(at, 5),
    length: buffer.readUIntLE(at + 5, 3),
    line: buffer.readUInt32LE(at + 8),
    estTokens: buffer.readUIntLE(at + 12, 3),
    prefixGroup: buffer.readUInt32LE(at + 15),
    flags: buffer.readUInt8(at + flagsAt),
  }
}

/** Whether the entry at `position` is the same request as the one before it. */
export function isSameAsPrevious(buffer: Buffer, position: number): boolean {
  return ((buffer[position * planEntryBytes + flagsAt] ?? 0) & flagSameAsPrevious) !== 0
}

/** Makes the entry at `position` one that runs itself: what it follows is not with it. */
export function clearSameAsPrevious(buffer: Buffer, position: number): void {
  const at = position * planEntryBytes + flagsAt
  buffer.writeUInt8((buffer[at] ?? 0) & ~flagSameAsPrevious, at)
}

/** All entries of a run of encoded ones. */
export function decodePlanEntries(buffer: Buffer): PlanEntry[] {
  if (buffer.length % planEntryBytes !== 0) throw new RangeError(`${buffer.length} bytes are no whole plan entries`)
  return Array.from({ length: buffer.length / planEntryBytes }, (_, i) => readPlanEntry(buffer, i))
}
