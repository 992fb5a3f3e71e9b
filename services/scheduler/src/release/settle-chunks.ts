import type { Queryable } from '@forebay/store'
import type { BatchRow } from '../batch-row.ts'
import { type PoolView, shouldMove } from '../pools/route-batch.ts'
import { chunkKey, finishedChunks, markDone, type OutChunkRow } from './chunk-rows.ts'
import type { Verdict } from './judge-chunk.ts'
import type { LaneWatch } from './lane-watch.ts'
import type { Targets } from './targets.ts'

/** Why a chunk is released again; `moved`: its pool is gone and another may run it. */
export type LossReason = Exclude<Verdict, 'done' | 'out'> | 'moved'

/** Released chunks by what is to become of them. */
export interface Settled {
  /** Not done; the lost ones among them. */
  out: OutChunkRow[]
  /** To be released again at once, with the reason. */
  lost: { chunk: OutChunkRow; why: LossReason }[]
}

/** Marks the released chunks that are done, and tells which are lost. A chunk none of whose requests is missing is done, too. */
export async function settleChunks(
  tx: Queryable,
  options: {
    nowMs: number
    batches: ReadonlyMap<string, BatchRow>
    chunks: readonly OutChunkRow[]
    watch: LaneWatch
    pools: ReadonlyMap<string, PoolView>
    targets: Pick<Targets, 'routeOf'>
  },
): Promise<Settled> {
  const { nowMs, batches, chunks, watch } = options
  const judge = (batch: BatchRow, chunk: OutChunkRow): Verdict | 'moved' => {
    const verdict = watch.judge(nowMs, batch, chunk)
    const route = options.targets.routeOf(chunk)
    if (verdict !== 'out' || !route) return verdict
    const seen = chunk.lastSeenAtMs !== null && chunk.lastSeenAtMs >= chunk.releasedAtMs
    return shouldMove({ pool: options.pools.get(chunk.pool), route, seen }) ? 'moved' : 'out'
  }
  const judged = chunks.flatMap((chunk) => {
    const batch = batches.get(chunk.batchId)
    return batch ? [{ chunk, batch, why: judge(batch, chunk) }] : []
  })
  const suspects = judged.flatMap(({ batch, chunk, why }) =>
    why === 'done' || why === 'out' ? [] : [{ batch, chunk, why }],
  )
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
