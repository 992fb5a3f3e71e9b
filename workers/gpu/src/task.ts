import type { BatcherRequest, Suspicion } from '@forebay/batcher'
import type { Usage } from '@forebay/contracts'
import type { CallSignal } from './engine/call-abort.ts'
import type { Failure } from './engine/outcome.ts'

/**
 * How an attempt ended: for good, with a failure after which there may be another, or with an answer that is not wanted,
 * so that there is another whatever it counts.
 */
export type AttemptEnd = { kind: 'ended'; usage: Usage | null } | { kind: 'unwanted'; usage: Usage } | Failure

/** A request as the dispatcher runs it. Ends exactly once: in `attempt` with `ended`, in `fail`, or in `dropped`. */
export interface Task extends BatcherRequest {
  /** Suspicion it comes with. */
  readonly suspicion: Suspicion
  /** Must not throw, except what `signal` was aborted with. */
  attempt(signal: CallSignal, attemptsBefore: number): Promise<AttemptEnd>
  /** The last attempt failed. */
  fail(failure: Failure): void
  /** It was taken out before it had a result. */
  dropped(): void
}
