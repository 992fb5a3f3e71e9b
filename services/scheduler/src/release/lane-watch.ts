import type { BatchRow } from '../batch-row.ts'
import type { OutChunkRow } from './chunk-rows.ts'
import type { DepthBook } from './depth-book.ts'
import { judgeChunk, type Verdict } from './judge-chunk.ts'
import { Throughput } from './throughput.ts'

/** How much work is kept on the broker: the scheduler may be away so long, and a new batch waits so long behind others. */
export const windowMs = 30_000
// A results queue with more events than this, or with any and no progress for a while, is read too slowly to judge by.
const backlogEvents = 200
const backlogMs = 5000

/** A pool and a lane of it. */
export type LaneKey = `${string}.${string}`

/** The lane that a batch's chunks go to. */
export const laneOf = (batch: BatchRow): LaneKey => `${batch.pool}.${batch.lane}`

/** What this process has seen of the lanes over time. All of it are hints: losing them costs delay or doubled work, never a line. */
export class LaneWatch {
  readonly #depths: DepthBook
  readonly #chunkLeaseMs: number
  readonly #throughput = new Throughput()
  readonly #seenReleasedAtMs = new Map<LaneKey, number>()
  readonly #resultsBehindAtMs = new Map<string, number>()

  constructor(options: { depths: DepthBook; chunkLeaseMs: number }) {
    this.#depths = options.depths
    this.#chunkLeaseMs = options.chunkLeaseMs
  }

  /** Takes the state of all open batches and released chunks at a time. */
  observe(nowMs: number, batches: ReadonlyMap<string, BatchRow>, chunks: readonly OutChunkRow[]): void {
    const busy = new Set<LaneKey>()
    const heardMs = new Map<string, number>()
    for (const chunk of chunks) {
      const batch = batches.get(chunk.batchId)
      if (!batch) continue
      const lane = laneOf(batch)
      busy.add(lane)
      if (chunk.lastSeenAtMs === null || chunk.lastSeenAtMs < chunk.releasedAtMs) continue
      this.#seenReleasedAtMs.set(lane, Math.max(this.#seenReleasedAtMs.get(lane) ?? 0, chunk.releasedAtMs))
      heardMs.set(batch.pool ?? '', Math.max(heardMs.get(batch.pool ?? '') ?? 0, chunk.lastSeenAtMs))
    }
    for (const pool of new Set([...batches.values()].flatMap((batch) => batch.pool ?? []))) {
      const waiting = this.#depths.get(pool, 'results')?.waiting ?? 0
      const quiet = nowMs - (heardMs.get(pool) ?? 0) > backlogMs
      if (waiting > backlogEvents || (waiting > 0 && quiet)) this.#resultsBehindAtMs.set(pool, nowMs)
    }
    this.#throughput.observe(nowMs, [...batches.values()].map(toProgress), busy)
  }

  judge(nowMs: number, batch: BatchRow, chunk: OutChunkRow): Verdict {
    const pool = batch.pool ?? ''
    return judgeChunk(chunk, {
      nowMs,
      windowMs,
      chunkLeaseMs: this.#chunkLeaseMs,
      depth: this.#depths.get(pool, batch.lane),
      seenReleasedAtMs: this.#seenReleasedAtMs.get(laneOf(batch)) ?? 0,
      resultsBehindAtMs: this.#resultsBehindAtMs.get(pool) ?? 0,
    })
  }

  /** Estimated tokens per second; 0 until measured. */
  rate(lane: LaneKey): number {
    return this.#throughput.rate(lane)
  }
}

function toProgress(batch: BatchRow) {
  const { id, total, estTokens } = batch
  return { id, lane: laneOf(batch), total, ended: batch.completed + batch.failed, estTokens }
}
