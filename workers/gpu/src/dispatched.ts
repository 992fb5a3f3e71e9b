import type { Suspicion } from '@forebay/batcher'
import type { CallAbort } from './engine/call-abort.ts'
import type { ModelWork } from './residency/residency-manager.ts'
import type { Task } from './task.ts'

/** A request that the dispatcher holds. */
export interface Dispatched {
  readonly task: Task
  /** Attempts that count; an engine that says it is overloaded costs half a one. */
  spent: number
  tries: number
  /** Whether the engine died under it. */
  suspect: boolean
  abort: CallAbort | undefined
  /** When the attempt under way began (epoch ms). */
  startedMs: number
  /** Why its attempt is being aborted. */
  cut: 'preempted' | 'engine' | 'dropped' | undefined
  unwanted: boolean
  /** It waits for its model, unknown to the batcher. */
  parked: boolean
  readonly sinceMs: number
}

/** A request that was just taken on. */
export function newlyDispatched(task: Task, options: { nowMs: number; parked: boolean }): Dispatched {
  return {
    task,
    spent: 0,
    tries: 0,
    suspect: task.suspicion > 0,
    abort: undefined,
    startedMs: 0,
    cut: undefined,
    unwanted: false,
    parked: options.parked,
    sinceMs: options.nowMs,
  }
}

/** How much it is suspected of killing engines; `attempts`: those it may have. */
export function suspicionOf(entry: Dispatched, attempts: number): Suspicion {
  if (!entry.suspect) return 0
  return entry.spent >= attempts - 1 || entry.task.suspicion === 2 ? 2 : 1
}

/** What each model has to do. */
export function workOf(entries: Iterable<Dispatched>): Map<string, ModelWork> {
  const work = new Map<string, ModelWork>()
  for (const { abort, sinceMs, task } of entries) {
    const of = work.get(task.model) ?? { inFlight: 0, waiting: 0, waitingLive: 0, waitingSinceMs: undefined }
    work.set(task.model, of)
    if (abort) of.inFlight++
    else {
      of.waiting++
      if (task.lane === 'realtime') of.waitingLive++
      of.waitingSinceMs = Math.min(of.waitingSinceMs ?? sinceMs, sinceMs)
    }
  }
  return work
}
