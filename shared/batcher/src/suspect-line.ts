import type { Lane } from '@forebay/contracts'
import type { BatcherRequest, Suspicion } from './request.ts'

/** A waiting suspect. */
export interface Suspect {
  readonly request: BatcherRequest
  readonly suspicion: Suspicion
}

/**
 * Requests that were at the engine when it died. They run few at a time: one, then twice as many after each that
 * survives, one again when the engine dies once more. A suspect on its last attempt runs with no other low-priority
 * work beside it, so a request that kills the engine takes no innocent one with it.
 */
export interface SuspectLine {
  waiting(lane: Lane): number
  add(request: BatcherRequest, suspicion: Suspicion): void
  /** The next suspect of the lane that may run now, given how many low-priority requests are in flight. */
  next(lane: Lane, lowInFlight: number): Suspect | undefined
  take(suspect: Suspect): void
  remove(id: string): boolean
  /** A suspect's attempt ended, whatever came of it. */
  ended(suspicion: Suspicion): void
  verdict(survived: boolean): void
  /** True while unsuspected requests must wait: one on its last attempt runs, or is next. */
  holdsOthers(): boolean
}

/** An empty line. */
export function makeSuspectLine(): SuspectLine {
  const line = new Map<string, Suspect>()
  let running = 0
  let soloRunning = false
  let together = 1
  const head = () => {
    const [first] = line.values()
    return first
  }
  return {
    waiting(lane) {
      let count = 0
      for (const { request } of line.values()) if (request.lane === lane) count++
      return count
    },
    add: (request, suspicion) => void line.set(request.id, { request, suspicion }),
    next(lane, lowInFlight) {
      const suspect = head()
      if (suspect?.request.lane !== lane || soloRunning) return undefined
      const free = suspect.suspicion === 2 ? lowInFlight === 0 : running < together
      return free ? suspect : undefined
    },
    take({ request, suspicion }) {
      line.delete(request.id)
      running++
      if (suspicion === 2) soloRunning = true
    },
    remove: (id) => line.delete(id),
    ended(suspicion) {
      running--
      if (suspicion === 2) soloRunning = false
    },
    verdict(survived) {
      together = survived ? Math.min(1024, together * 2) : 1
    },
    holdsOthers: () => soloRunning || head()?.suspicion === 2,
  }
}
