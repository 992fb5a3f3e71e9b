import type { BatchRow } from '../batch-row.ts'
import { type PoolView, type Route, routeBatch } from '../pools/route-batch.ts'

/** What some of a batch's chunks need of a pool, and where they may go. Most batches have one target. */
export interface Target {
  readonly key: string
  readonly batch: BatchRow
  /** As its chunks have it: null, the batch's own model. */
  readonly stored: string | null
  readonly route: Route
}

/** The targets of the batches that may release. */
export interface Targets {
  readonly all: readonly Target[]
  /** The key of a chunk's target. */
  keyOf(chunk: ChunkOfTarget): string
  /** Where a chunk may go; undefined when its batch may not release. */
  routeOf(chunk: ChunkOfTarget): Route | undefined
  /** What a batch's chunks wait for, in words; null when they can go out. */
  waitingFor(batchId: string): string | null
}

/** A chunk, as far as its target goes. */
export interface ChunkOfTarget {
  readonly batchId: string
  readonly index: number
  readonly model: string | null
}

/** Routes what is left of each batch: the chunks of one model go together. */
export function makeTargets(running: readonly BatchRow[], pools: readonly PoolView[]): Targets {
  const all = running.flatMap((batch) =>
    (batch.models ?? [null]).map((stored): Target => {
      const { residency } = batch
      const route = routeBatch({ model: stored ?? batch.model, residency }, pools)
      return { key: keyOf({ batchId: batch.id, model: stored }), batch, stored, route }
    }),
  )
  const byKey = new Map(all.map((target) => [target.key, target]))
  return {
    all,
    keyOf,
    routeOf: (chunk) => byKey.get(keyOf(chunk))?.route,
    waitingFor: (batchId) => {
      const reasons = all.flatMap(({ batch, route }) => (batch.id === batchId ? (route.waitingFor ?? []) : []))
      return reasons.length > 0 ? [...new Set(reasons)].join(' ') : null
    },
  }
}

function keyOf({ batchId, model }: Pick<ChunkOfTarget, 'batchId' | 'model'>): string {
  return model === null ? batchId : `${batchId}\n${model}`
}
