import type { Lane } from '@forebay/contracts'

/** A pool as the policy sees it. All times are in milliseconds. */
export interface ScalablePool {
  readonly name: string
  readonly minReplicas: number
  readonly maxReplicas: number
  /** What one replica costs an hour; 0 when nobody said. */
  readonly costPerHour: number
  /** True: may be taken away by its cloud, and is cheaper for it. */
  readonly spot: boolean
  /** From asking for a replica until it works. */
  readonly coldStartMs: number
  /** What one replica gets through when it is full, prompt and output together. */
  readonly tokensPerSecond: number
  /** Replicas that work, those on their way out not counted. */
  readonly ready: number
  /** Why nothing may be started there: drained, unreachable. What it has stays as it is. */
  readonly closed: string | undefined
}

/** Work that is not done: queued, not released yet, or in flight. */
export interface OutstandingWork {
  /** Where it may run. */
  readonly pools: readonly string[]
  readonly lane: Lane
  readonly tokens: number
  /** When it must be done; undefined: soon, but nobody said when. */
  readonly deadlineMs: number | undefined
}

/** Live traffic of the pools that share it. */
export interface LiveLoad {
  readonly pools: readonly string[]
  /** Tokens that came lately, a second. */
  readonly tokensPerSecond: number
  /** Tokens of live requests that no engine has begun. */
  readonly waitingTokens: number
  /** Measured time to the first token over its objective; undefined when nothing was measured. */
  readonly ttftRatio: number | undefined
  /** When the rate was measured; a decision whose loads say the same again has no new sample. Not given: now. */
  readonly sampledAtMs?: number | undefined
}

/** All that a decision stands on. */
export interface ScalingState {
  readonly nowMs: number
  readonly pools: readonly ScalablePool[]
  readonly work: readonly OutstandingWork[]
  readonly live: readonly LiveLoad[]
}

/** What a pool should have, and why, in one sentence. */
export interface ScalingDecision {
  readonly pool: string
  readonly atMs: number
  /** Ready and warming. */
  readonly current: number
  readonly ready: number
  readonly desired: number
  /** What the load alone asks for, before limits of speed and size. */
  readonly wanted: number
  readonly reason: string
  /** True when replicas asked for long ago do not come. */
  readonly stuck: boolean
  /** For how long the oldest replica asked for should have worked already; 0 when none is late. */
  readonly lateMs: number
  readonly outstandingTokens: number
  readonly liveTokensPerSecond: number
}
