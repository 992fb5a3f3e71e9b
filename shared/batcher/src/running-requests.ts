import type { BatcherRequest, PerLane, Suspicion } from './request.ts'

/** A request at the engine. */
export interface RunningRequest {
  readonly request: BatcherRequest
  readonly startedMs: number
  /** When it first came to the batcher (epoch ms). */
  readonly cameMs: number
  /** Of the KV cache that it is expected to need. */
  readonly tokens: number
  readonly suspicion: Suspicion
  /** When it last brought a token; undefined before the first, or when its tokens are not seen. */
  lastTokenMs: number | undefined
  /** It was chosen to be aborted. */
  leaving: boolean
}

/** The requests at the engine, and sums over them. */
export interface RunningRequests {
  readonly count: PerLane
  readonly tokens: PerLane
  get(id: string): RunningRequest | undefined
  add(entry: RunningRequest): void
  remove(id: string): RunningRequest | undefined
  values(): Iterable<RunningRequest>
}

/** None at first. */
export function makeRunningRequests(): RunningRequests {
  const entries = new Map<string, RunningRequest>()
  const count: PerLane = { realtime: 0, standard: 0, batch: 0 }
  const tokens: PerLane = { realtime: 0, standard: 0, batch: 0 }
  return {
    count,
    tokens,
    get: (id) => entries.get(id),
    add(entry) {
      entries.set(entry.request.id, entry)
      count[entry.request.lane]++
      tokens[entry.request.lane] += entry.tokens
    },
    remove(id) {
      const entry = entries.get(id)
      if (!entry) return undefined
      entries.delete(id)
      count[entry.request.lane]--
      tokens[entry.request.lane] -= entry.tokens
      return entry
    },
    values: () => entries.values(),
  }
}

export const sumOf = (per: PerLane): number => per.realtime + per.standard + per.batch
/** Standard and batch: nobody waits for them with a clock in hand. */
export const lowOf = (per: PerLane): number => per.standard + per.batch
