import type { BatchRow } from '../batch-row.ts'
import { chunkKey, type OutChunkRow } from './chunk-rows.ts'
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

/** The name of a pool's lane. */
export const laneKey = (pool: string, lane: string): LaneKey => `${pool}.${lane}`

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
    const heardMs = new Map<string, number>()
    for (const chunk of chunks) {
      const batch = batches.get(chunk.batchId)
      const { pool, lastSeenAtMs, releasedAtMs } = chunk
      heardMs.set(pool, heardMs.get(pool) ?? 0)
      if (!batch || lastSeenAtMs === null || lastSeenAtMs < releasedAtMs) continue
      const lane = laneKey(pool, batch.lane)
      this.#seenReleasedAtMs.set(lane, Math.max(this.#seenReleasedAtMs.get(lane) ?? 0, releasedAtMs))
      heardMs.set(pool, Math.max(heardMs.get(pool) ?? 0, lastSeenAtMs))
    }
    for (const [pool, lastMs] of heardMs) {
      const waiting = this.#depths.get(pool, 'results')?.waiting ?? 0
      const quiet = nowMs - lastMs > backlogMs
      if (waiting > backlogEvents || (waiting > 0 && quiet)) this.#resultsBehindAtMs.set(pool, nowMs)
    }
    const progress = chunks.flatMap((chunk) => {
      const batch = batches.get(chunk.batchId)
      const doneTokens = chunk.estTokens * Math.min(1, chunk.done / chunk.entries)
      return batch ? [{ ...chunk, key: chunkKey(chunk), lane: laneKey(chunk.pool, batch.lane), doneTokens }] : []
    })
    this.#throughput.observe(nowMs, progress, (id) => batches.has(id))
  }

  judge(nowMs: number, batch: BatchRow, chunk: OutChunkRow): Verdict {
    const { pool } = chunk
    return judgeChunk(chunk, {
      nowMs,
      windowMs,
      chunkLeaseMs: this.#chunkLeaseMs,
      depth: this.#depths.get(pool, batch.lane),
      seenReleasedAtMs: this.#seenReleasedAtMs.get(laneKey(pool, batch.lane)) ?? 0,
      resultsBehindAtMs: this.#resultsBehindAtMs.get(pool) ?? 0,
    })
  }

  /** Estimated tokens per second; 0 until measured. */
  rate(lane: LaneKey): number {
    return this.#throughput.rate(lane)
  }
}
