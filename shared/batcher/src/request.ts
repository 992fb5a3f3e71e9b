import type { Lane } from '@forebay/contracts'

/**
 * How far a request is suspected of killing the engine: 0 not at all; 1 it was at the engine when that died; 2 as 1,
 * and its next attempt is its last, so it runs with no other batch work beside it and the verdict is its own.
 */
export type Suspicion = 0 | 1 | 2

/** What the batcher knows of a request. */
export interface BatcherRequest {
  readonly id: string
  readonly lane: Lane
  readonly model: string
  readonly batchId: string | null
  /** Equal within a batch for requests that share a prompt prefix; 0 when none. */
  readonly prefixGroup: number
  /** Size of the body. */
  readonly bytes: number
  /** Prompt and output together, as planned. */
  readonly estTokens: number
  /** Milliseconds since the epoch; orders the realtime lane. */
  readonly deadlineMs: number
  /** Its tokens are seen as they come. */
  readonly streams: boolean
}

/** A number per lane. */
export type PerLane = Record<Lane, number>

/** What the engine said of itself; null where it does not say. Counts are since it started. */
export interface EngineSample {
  readonly atMs: number
  readonly running: number
  readonly waiting: number
  /** Share of the KV cache in use, 0 to 1. */
  readonly kvUsage: number | null
  /** Size of the KV cache in tokens. */
  readonly kvTokens: number | null
  readonly preemptions: number
  readonly promptTokens: number
  /** Prompt tokens found in the prefix cache. */
  readonly cachedTokens: number
  readonly generationTokens: number
  /** Steps it ran. */
  readonly steps: number | null
  /** It counts a request's tokens at its end, so that they tell nothing of what a step takes. */
  readonly countsAtEnd?: true
}

/** What live requests are to get; a pool without an objective gets one from the engine's own pace. */
export interface Objective {
  /** From a live request's coming to its first token, at the 99th percentile. */
  readonly ttftP99Ms?: number | undefined
  /** Between two tokens of a live stream, at the 99th percentile. */
  readonly interTokenP99Ms?: number | undefined
}
