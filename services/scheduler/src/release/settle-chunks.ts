import type { Queryable } from '@forebay/store'
import type { BatchRow } from '../batch-row.ts'
import { chunkKey, finishedChunks, markDone, type OutChunkRow } from './chunk-rows.ts'
import type { Verdict } from './judge-chunk.ts'
import type { LaneWatch } from './lane-watch.ts'

/** Released chunks by what is to become of them. */
export interface Settled {
  /** Not done; the lost ones among them. */
  out: OutChunkRow[]
  /** To be released again at once, with the reason. */
  lost: { chunk: OutChunkRow; why: Verdict }[]
}

/** Marks the released chunks that are done, and tells which are lost. A chunk none of whose requests is missing is done, too. */
export async function settleChunks(
  tx: Queryable,
  options: { nowMs: number; batches: ReadonlyMap<string, BatchRow>; chunks: readonly OutChunkRow[]; watch: LaneWatch },
): Promise<Settled> {
  const { nowMs, batches, chunks, watch } = options
  const judged = chunks.flatMap((chunk) => {
    const batch = batches.get(chunk.batchId)
    return batch ? [{ chunk, batch, why: watch.judge(nowMs, batch, chunk) }] : []
  })
  const suspects = judged.filter(({ why }) => why !== 'done' && why !== 'out')
  const finished =
    suspects.length === 0
      ? []
      : await finishedChunks(
          tx,
          suspects.map(({ chunk }) => chunk),
        )
  const told = judged.filter(({ why }) => why === 'done').map(({ chunk }) => chunk)
  const done = new Set([...told, ...finished].map(chunkKey))
  if (done.size > 0)
    await markDone(
      tx,
      chunks.filter((chunk) => done.has(chunkKey(chunk))),
    )
  return {
    out: chunks.filter((chunk) => !done.has(chunkKey(chunk))),
    lost: suspects.filter(({ chunk, batch }) => !done.has(chunkKey(chunk)) && isRunning(batch, nowMs)),
  }
}

/** True when the batch's requests may be started. */
export function isRunning(batch: BatchRow, nowMs: number): boolean {
  return batch.status === 'in_progress' && batch.expiresAtMs > nowMs
}
