import { backoffMs } from '@forebay/kernel'
import { isOverload, wedgedFailure } from './attempt-failures.ts'
import type { Dispatched } from './dispatched.ts'
import type { Failure } from './engine/outcome.ts'

const retryWait = { firstMs: 250, maxMs: 10_000 }
// The request never got to the engine: it costs no attempt, and admission is paused until the engine answers again.
const downWaitMs = 100

/** What becomes of a request whose attempt brought no result. */
export type NextAttempt =
  | { readonly kind: 'again'; readonly notBeforeMs: number; readonly first: boolean }
  /** Its failure is its result. */
  | { readonly kind: 'fails'; readonly failure: Failure }

/** Decides, and counts the attempt, unless the engine never had it or gave it back for another. */
export function nextAttempt(
  entry: Dispatched,
  end: { failure: Failure | undefined; why: string; nowMs: number; attempts: number },
): NextAttempt {
  const { attempts, failure, nowMs, why } = end
  const { task } = entry
  if (why === 'preempted') return { kind: 'again', notBeforeMs: nowMs, first: true }
  if (why === 'down') return { kind: 'again', notBeforeMs: nowMs + downWaitMs, first: true }
  entry.tries++
  entry.spent += isOverload(failure, task) ? 0.5 : 1
  if (entry.spent >= attempts) return { kind: 'fails', failure: failure ?? wedgedFailure }
  const waitMs = Math.max(failure?.retryAfterMs ?? 0, backoffMs(entry.tries, retryWait))
  // Somebody waits for it, and would only hear later that it could not be done.
  if (failure && task.batchId === null && nowMs + waitMs >= task.deadlineMs) return { kind: 'fails', failure }
  return { kind: 'again', notBeforeMs: nowMs + waitMs, first: false }
}
