/** A job to send. */
export interface OutboundJob<T> {
  /** Names the job in logs, results and dead letters. */
  id: string
  job: T
  delayMs?: number
  /** The tenant; a hint that a broker may ignore. */
  fairnessKey?: string
}

/** A job held by this process; its lease is renewed until it is settled. */
export interface LeasedJob<T> {
  readonly id: string
  readonly job: T
  /** 1 = first; may over-count, never under-counts. */
  readonly attempt: number
  /** Milliseconds since the epoch. */
  readonly enqueuedAt: number
  /**
   * Aborts when the lease is lost: another consumer may run the job, so drop the work. It is made when first read, and
   * costs more than all else of a small job: read it where it is needed.
   */
  readonly lost: AbortSignal
  /** Calls `fn` when the lease is lost, at once if it is, never again after the returned function: what a signal does, for next to nothing. */
  onLost(fn: () => void): () => void
}

/**
 * How an attempt ended. `retry` uses up an attempt and dead-letters the job when it was the last; `snooze` gives the
 * job back without using one up; `dead` moves it to the dead-letter queue at once.
 */
export type Outcome =
  | { kind: 'done' }
  | { kind: 'retry'; delayMs: number; reason?: string }
  | { kind: 'snooze'; delayMs: number }
  | { kind: 'dead'; code: string; detail?: string }
