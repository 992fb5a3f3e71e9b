import type { BlobStore } from '@forebay/blobs'
import type { PlanEntry } from '@forebay/plan'

const gapMax = 64 * 1024
const segmentMax = 1024 * 1024

/** Neighbouring lines read in one go. */
export interface Segment {
  readonly start: number
  readonly end: number
  readonly entries: readonly PlanEntry[]
}

/**
 * Groups entries, in the order given, into ranges to read: consecutive entries share one while the gaps between them
 * stay below 64 KiB and the range below 1 MiB (a longer line is a range of its own).
 */
export function segmentsOf(entries: readonly PlanEntry[]): Segment[] {
  const segments: Segment[] = []
  let current: { start: number; end: number; entries: PlanEntry[] } | undefined
  for (const entry of entries) {
    const [start, end] = [entry.offset, entry.offset + entry.length]
    const near = current !== undefined && start - current.end <= gapMax && current.start - end <= gapMax
    const joined =
      current && near ? { start: Math.min(current.start, start), end: Math.max(current.end, end) } : undefined
    if (current && joined && joined.end - joined.start <= segmentMax) {
      current.start = joined.start
      current.end = joined.end
      current.entries.push(entry)
    } else {
      current = { start, end, entries: [entry] }
      segments.push(current)
    }
  }
  return segments
}

/** The lines of a segment. Rejects as `readRange` does. */
export async function readSegment(
  blobs: Pick<BlobStore, 'readRange'>,
  key: string,
  segment: Segment,
): Promise<{ entry: PlanEntry; line: Buffer }[]> {
  const bytes = await blobs.readRange(key, segment.start, segment.end)
  return segment.entries.map((entry) => {
    const from = entry.offset - segment.start
    return { entry, line: bytes.subarray(from, from + entry.length) }
  })
}
