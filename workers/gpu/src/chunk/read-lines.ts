import type { PlanEntry } from '@forebay/plan'

// Reading what lies between two lines is cheaper than another read.
const gapMax = 64 * 1024
const rangeMax = 1024 * 1024
/** Reads under way at once: an object store takes tens of milliseconds for each. */
const readsMax = 8
const groupMax = 8 * 1024 * 1024

/** Neighbouring lines read in one go. */
interface Range {
  readonly start: number
  readonly end: number
  /** Indices of the entries whose lines it holds. */
  readonly indices: readonly number[]
}

/** Cuts entries, in their order, into groups whose lines come to 8 MiB at most (a longer line is a group of its own). */
export function groupsOf(entries: readonly PlanEntry[]): PlanEntry[][] {
  const groups: PlanEntry[][] = []
  let bytes = 0
  for (const entry of entries) {
    const group = groups.at(-1)
    if (group && bytes + entry.length <= groupMax) group.push(entry)
    else {
      groups.push([entry])
      bytes = 0
    }
    bytes += entry.length
  }
  return groups
}

/**
 * The entries' lines, one promise each in the order given, whatever their order in the file: neighbours there (64 KiB
 * apart at most, 1 MiB together) are read at once, the lines wanted first before the others, several ranges at a
 * time. A line is undefined when `read` answers that for its range, and rejects as `read` does.
 */
export function readLines(
  entries: readonly PlanEntry[],
  read: (start: number, end: number) => Promise<Buffer | undefined>,
): Promise<Buffer | undefined>[] {
  const ranges = rangesOf(entries)
  const slots = Array.from({ length: Math.min(readsMax, ranges.length) }, () => Promise.resolve())
  const lines = new Array<Promise<Buffer | undefined>>(entries.length)
  for (const [i, range] of ranges.entries()) {
    const slot = i % slots.length
    const bytes = (slots[slot] ?? Promise.resolve()).then(() => read(range.start, range.end))
    slots[slot] = bytes.then(
      () => undefined,
      () => undefined,
    )
    for (const index of range.indices) {
      const { length, offset } = entries[index] ?? { length: 0, offset: range.start }
      const line = bytes.then((buffer) => buffer?.subarray(offset - range.start, offset - range.start + length))
      // Heard by whoever comes to it.
      line.catch(() => undefined)
      lines[index] = line
    }
  }
  return lines
}

function rangesOf(entries: readonly PlanEntry[]): Range[] {
  const byOffset = [...entries.entries()].sort(([, a], [, b]) => a.offset - b.offset)
  const ranges: { start: number; end: number; indices: number[] }[] = []
  for (const [index, { length, offset }] of byOffset) {
    const last = ranges.at(-1)
    const end = Math.max(last?.end ?? 0, offset + length)
    if (last && offset - last.end <= gapMax && end - last.start <= rangeMax) {
      last.end = end
      last.indices.push(index)
    } else ranges.push({ start: offset, end: offset + length, indices: [index] })
  }
  return ranges.sort((a, b) => Math.min(...a.indices) - Math.min(...b.indices))
}
