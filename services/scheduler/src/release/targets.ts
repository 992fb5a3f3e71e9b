import { type ModelVersions, versionFor, versionsOf } from '@forebay/rollouts'
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

/** The chunks of one batch and model: where they may go, and those of them that a new version gets. */
interface Part {
  stable: Target
  canary: { target: Target; versions: ModelVersions } | undefined
}

/**
 * Routes what is left of each batch: the chunks of one model go together, but for those that a rollout gives the new
 * version, by the chunk's own name. While no pool with a worker can run that, they go where the others go.
 */
export function makeTargets(
  running: readonly BatchRow[],
  pools: readonly PoolView[],
  rolledOut: ReadonlyMap<string, ModelVersions> = new Map(),
): Targets {
  const parts = new Map<string, Part>()
  for (const batch of running) {
    for (const stored of batch.models ?? [null]) {
      const model = stored ?? batch.model
      const inPools = pools
        .filter((pool) => pool.models.has(model ?? ''))
        .map((pool) => pool.versions?.[model ?? ''] ?? null)
      const versions = versionsOf(inPools, rolledOut.get(model ?? ''))
      const key = partOf({ batchId: batch.id, model: stored })
      const target = (version: string | null | undefined, keyed: string): Target => {
        const route = routeBatch({ model, residency: batch.residency, version }, pools)
        return { key: keyed, batch, stored, route }
      }
      const canary = versions?.canary && target(versions.canary.version, `${key}\nnew`)
      const usable = versions && canary && canary.route.pools.length > 0 && canary.route.waitingFor === null
      parts.set(key, {
        stable: target(versions?.stable, key),
        canary: usable ? { target: canary, versions } : undefined,
      })
    }
  }
  const all = [...parts.values()].flatMap(({ canary, stable }) => (canary ? [stable, canary.target] : [stable]))
  const targetOf = (chunk: ChunkOfTarget): Target | undefined => {
    const part = parts.get(partOf(chunk))
    if (!part?.canary) return part?.stable
    const { target, versions } = part.canary
    return versionFor(versions, `${chunk.batchId}.${chunk.index}`) === versions.canary?.version ? target : part.stable
  }
  return {
    all,
    keyOf: (chunk) => targetOf(chunk)?.key ?? partOf(chunk),
    routeOf: (chunk) => targetOf(chunk)?.route,
    waitingFor: (batchId) => {
      const reasons = all.flatMap(({ batch, route }) => (batch.id === batchId ? (route.waitingFor ?? []) : []))
      return reasons.length > 0 ? [...new Set(reasons)].join(' ') : null
    },
  }
}

function partOf({ batchId, model }: Pick<ChunkOfTarget, 'batchId' | 'model'>): string {
  return model === null ? batchId : `${batchId}\n${model}`
}
