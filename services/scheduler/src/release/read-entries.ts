import type { BlobStore } from '@forebay/blobs'
import { planEntryBytes } from '@forebay/plan'

/** Where some entries lie: in which plan, from which, how many. */
export interface EntryRange {
  planKey: string
  firstEntry: number
  entries: number
}

// What lies between two ranges is read with them up to so many entries: 20 KB cost less than another read.
const gapMax = 1_000

/**
 * Reads ranges of plans, each with its entries, in their order. Those that lie close together are one read: chunks are
 * released in about their plan's order.
 */
export async function readEntries<R extends EntryRange>(
  store: Pick<BlobStore, 'readRange'>,
  ranges: readonly R[],
): Promise<(readonly [R, Buffer])[]> {
  const found = new Map<R, Buffer>()
  for (const run of runsOf(ranges)) {
    const { planKey, start, end } = run
    const bytes = await store.readRange(planKey, start * planEntryBytes, end * planEntryBytes)
    for (const range of run.ranges) {
      const from = (range.firstEntry - start) * planEntryBytes
      found.set(range, bytes.subarray(from, from + range.entries * planEntryBytes))
    }
  }
  return ranges.flatMap((range) => {
    const bytes = found.get(range)
    return bytes ? [[range, bytes] as const] : []
  })
}

interface Run<R> {
  planKey: string
  start: number
  end: number
  ranges: R[]
}

function runsOf<R extends EntryRange>(ranges: readonly R[]): Run<R>[] {
  const runs: Run<R>[] = []
  const ordered = [...ranges].sort((a, b) =>
    a.planKey === b.planKey ? a.firstEntry - b.firstEntry : a.planKey < b.planKey ? -1 : 1,
  )
  for (const range of ordered) {
    const { planKey, firstEntry } = range
    const end = firstEntry + range.entries
    const last = runs.at(-1)
    if (last?.planKey === planKey && firstEntry - last.end <= gapMax) {
      last.end = Math.max(last.end, end)
      last.ranges.push(range)
    } else runs.push({ planKey, start: firstEntry, end, ranges: [range] })
  }
  return runs
}
