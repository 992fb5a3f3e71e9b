import { setImmediate as breathe } from 'node:timers/promises'
import { clearSameAsPrevious, isSameAsPrevious, planEntryBytes, readPlanEntry } from '@forebay/plan'

/** Columns of a batch's chunks, by index: each a run of the plan. */
export interface ChunkColumns {
  firstEntry: number[]
  entries: number[]
  /** Of the requests that run; those that are the same as one of them cost nothing. */
  estTokens: number[]
  /** Whether its first request shares a prefix with the last of the chunk before. */
  continues: boolean[]
}

// Requests that are the same as another cost the engine nothing, but the worker reads each of them.
const identicalMax = { entries: 4_096, bytes: 16 * 1024 * 1024 }

/**
 * Cuts a plan into chunks of at most `chunkRequests` requests and `chunkTokens` tokens that run; one request alone may
 * exceed the latter. Requests that are the same as the one before them go with it and count for neither, up to 4,096
 * entries and 16 MiB of them a chunk; the first of those that go into another chunk loses its flag in `plan`: it runs.
 * A chunk that is half full ends before a prefix group that fits into one chunk, but not into the rest of this: any
 * worker of a pool may take the next chunk, and would compute the group's prefix again.
 */
export async function cutChunks(
  plan: Buffer,
  limits: { chunkRequests: number; chunkTokens: number },
): Promise<ChunkColumns> {
  const columns: ChunkColumns = { firstEntry: [], entries: [], estTokens: [], continues: [] }
  const count = plan.length / planEntryBytes
  let first = 0
  let running = { requests: 0, tokens: 0, identicalBytes: 0 }
  const close = (end: number) => {
    columns.continues.push(sharesPrefix(plan, first))
    columns.firstEntry.push(first)
    columns.entries.push(end - first)
    columns.estTokens.push(running.tokens)
    first = end
    running = { requests: 0, tokens: 0, identicalBytes: 0 }
  }
  for (let i = 0; i < count; i++) {
    if (i % 16_384 === 16_383) await breathe()
    const { estTokens, length } = readPlanEntry(plan, i)
    if (isSameAsPrevious(plan, i)) {
      const room = i - first < identicalMax.entries && running.identicalBytes + length <= identicalMax.bytes
      if (room) {
        running.identicalBytes += length
        continue
      }
      clearSameAsPrevious(plan, i)
      close(i)
    } else if (i > first) {
      const full = running.requests === limits.chunkRequests || running.tokens + estTokens > limits.chunkTokens
      const split = !full && isHalfFull(running, limits) && splitsGroup(plan, i, running, limits)
      if (full || split || i - first + familyOf(plan, i, count) > identicalMax.entries) close(i)
    }
    running.requests++
    running.tokens += estTokens
  }
  if (first < count) close(count)
  return columns
}

interface Limits {
  chunkRequests: number
  chunkTokens: number
}

function isHalfFull({ requests, tokens }: { requests: number; tokens: number }, limits: Limits): boolean {
  return requests * 2 >= limits.chunkRequests || tokens * 2 >= limits.chunkTokens
}

/** Whether a prefix group begins here that one chunk holds, but what is left of this one does not. */
function splitsGroup(
  plan: Buffer,
  position: number,
  used: { requests: number; tokens: number },
  limits: Limits,
): boolean {
  const { prefixGroup } = readPlanEntry(plan, position)
  if (prefixGroup === 0 || sharesPrefix(plan, position)) return false
  let [requests, tokens] = [0, 0]
  for (let next = position; next < plan.length / planEntryBytes; next++) {
    const entry = readPlanEntry(plan, next)
    if (entry.prefixGroup !== prefixGroup) break
    if (isSameAsPrevious(plan, next)) continue
    requests++
    tokens += entry.estTokens
    if (requests > limits.chunkRequests || tokens > limits.chunkTokens) return false
  }
  return used.requests + requests > limits.chunkRequests || used.tokens + tokens > limits.chunkTokens
}

/** How many entries from here on are one request and those that are the same; looks no further than a chunk holds. */
function familyOf(plan: Buffer, leader: number, count: number): number {
  const end = Math.min(count, leader + identicalMax.entries)
  let next = leader + 1
  while (next < end && isSameAsPrevious(plan, next)) next++
  return next - leader
}

/** Whether the entry at `position` is of the same prefix group as the one before it. */
function sharesPrefix(plan: Buffer, position: number): boolean {
  if (position === 0) return false
  const { prefixGroup } = readPlanEntry(plan, position)
  return prefixGroup !== 0 && prefixGroup === readPlanEntry(plan, position - 1).prefixGroup
}
