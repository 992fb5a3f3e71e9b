/** Times and sizes that hardly anyone needs to change; tests shorten them. */
export interface WorkerTuning {
  /** Least wait for a whole answer, however short it should be. */
  answerFloorMs: number
  /** Longest silence within an answer that has begun. */
  idleMs: number
  /** An engine with work that makes no token for so long, a canary's included, is wedged. */
  stallMs: number
  /** A call without an answer is lost when the engine, for so long, told of fewer than there are. */
  lostMs: number
  /** Work waits so long for an engine that is down before it is handed back. */
  downGraceMs: number
  /** A part and its result event are stored at most so often, or at so many results. */
  flushMs: number
  flushResults: number
  /** Above so many results not stored, no more jobs are pulled. */
  unflushedMax: number
  announceMs: number
  /** The engine's idle time is told at most so often. */
  idleEveryMs: number
  /** Bytes of batch lines held at once. */
  bytesMax: number
  /** Added to the drain for storing the last results and settling. */
  lastFlushMs: number
}

export const defaultTuning: WorkerTuning = {
  answerFloorMs: 60_000,
  idleMs: 25_000,
  stallMs: 30_000,
  lostMs: 20_000,
  downGraceMs: 10_000,
  flushMs: 250,
  flushResults: 128,
  unflushedMax: 2_048,
  announceMs: 2_000,
  idleEveryMs: 10_000,
  bytesMax: 256 * 1024 * 1024,
  lastFlushMs: 3_000,
}
