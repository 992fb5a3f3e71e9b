/** A released chunk with what results and its worker have told of it. Times are the database's, in epoch milliseconds. */
export interface OutChunk {
  entries: number
  attempt: number
  releasedAtMs: number
  done: number
  lastSeenAtMs: number | null
  returnedAttempt: number
}

/** What is known of the lane that a chunk was released to. */
export interface LaneView {
  nowMs: number
  /** Most silence of a worker that holds a chunk. */
  chunkLeaseMs: number
  windowMs: number
  /** Jobs on the broker; undefined when it cannot say just now. */
  depth: { waiting: number; inFlight: number } | undefined
  /** When the youngest chunk that a worker was seen to hold was released. */
  seenReleasedAtMs: number
  /** When the pool's results were last known to lie unread; silence before that means nothing. */
  resultsBehindAtMs: number
}

/** `out`: leave it be. The others: its missing requests are to be released again, and why. */
export type Verdict = 'done' | 'out' | 'returned' | 'silent' | 'unseen'

// A job that nobody holds and that is not on the broker either: time for one still on its way.
const sendMs = 5000
const unseenMs = 600_000

/**
 * Decides on one released chunk. The broker delivers roughly first in first out, so a chunk is also lost when younger
 * ones are under way and it is not.
 */
export function judgeChunk(chunk: OutChunk, lane: LaneView): Verdict {
  if (chunk.done >= chunk.entries) return 'done'
  const heardMs = Math.max(chunk.releasedAtMs, chunk.lastSeenAtMs ?? 0)
  if (chunk.returnedAttempt >= chunk.attempt) {
    return lane.nowMs - heardMs >= returnDelayMs(chunk.attempt) ? 'returned' : 'out'
  }
  const unheardMs = lane.nowMs - heardMs
  const silentMs = lane.nowMs - Math.max(heardMs, lane.resultsBehindAtMs)
  const overdue = unheardMs > Math.max(unseenMs, 2 * lane.windowMs)
  const seen = chunk.lastSeenAtMs !== null && chunk.lastSeenAtMs >= chunk.releasedAtMs
  if (seen) return silentMs > lane.chunkLeaseMs || overdue ? 'silent' : 'out'
  const { depth } = lane
  const gone = depth?.waiting === 0 && depth.inFlight === 0 && silentMs > sendMs
  const passed = depth?.waiting === 0 || lane.seenReleasedAtMs > chunk.releasedAtMs + sendMs
  return gone || (passed && silentMs > lane.chunkLeaseMs) || overdue ? 'unseen' : 'out'
}

// A chunk handed back again and again (an engine that is down) must not spin between scheduler and workers.
function returnDelayMs(attempt: number): number {
  return attempt <= 2 ? 0 : Math.min(30_000, 500 * 2 ** (attempt - 2))
}
