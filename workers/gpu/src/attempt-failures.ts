import type { Failure } from './engine/outcome.ts'
import type { Task } from './task.ts'

/** Said of a live request that cannot be in time. */
export const fullFailure: Failure = {
  kind: 'failure',
  reason: 'full',
  status: 503,
  message: 'The model server has no room for the request in time.',
}

/** Said of a request that the engine went away with for the last time. */
export const wedgedFailure: Failure = {
  kind: 'failure',
  reason: 'timeout',
  status: 504,
  message: 'The engine stopped making progress.',
}

/** Batch work can wait: a few seconds of overload must not fill the error file. */
export function isOverload(failure: Failure | undefined, task: Task): boolean {
  return task.batchId !== null && failure !== undefined && isOverloadStatus(failure)
}

/** The engine says that it has too much to do. */
export function isOverloadStatus(failure: Failure): boolean {
  return failure.reason === 'status' && (failure.status === 429 || failure.status === 503)
}

/** A bug in ours must cost this request only, and be seen. */
export function brokenAttempt(err: unknown): Failure {
  const message = err instanceof Error ? err.message : 'unknown'
  return { kind: 'failure', reason: 'status', status: 500, message: `The worker failed: ${message}` }
}
