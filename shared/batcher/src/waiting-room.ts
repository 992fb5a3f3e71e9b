import { type Lane, lanes } from '@forebay/contracts'
import type { BatcherRequest, PerLane, Suspicion } from './request.ts'
import { makeSuspectLine, type SuspectLine } from './suspect-line.ts'
import { makeDeadlineLine, makeGroupedLine, type WaitingLine } from './waiting-line.ts'

/** The requests that wait for their turn at the engine: in their lane's line, as suspects, or for a time to come. */
export interface WaitingRoom {
  readonly lines: Readonly<Record<Lane, WaitingLine>>
  readonly suspects: SuspectLine
  /** Waits until `dueMs`, then comes before the others of its lane; at once and behind them when that is past. */
  add(request: BatcherRequest, when: { nowMs: number; dueMs: number; suspicion: Suspicion; first: boolean }): void
  /** Takes one out; false when it does not wait here. */
  remove(id: string): boolean
  /** Lets those whose time has come into their lines. */
  enterDue(nowMs: number): void
  /** Those that could start now, by lane. */
  ready(): PerLane
  /** All of them, by lane. */
  waiting(): PerLane
  /** When the next of those with a time to come is due (epoch ms). */
  nextDueMs(): number | undefined
}

/** Nobody waits at first. */
export function makeWaitingRoom(): WaitingRoom {
  const lines = { realtime: makeDeadlineLine(), standard: makeGroupedLine(), batch: makeGroupedLine() }
  const suspects = makeSuspectLine()
  const delayed = new Map<string, { request: BatcherRequest; dueMs: number; suspicion: Suspicion }>()

  function enter(request: BatcherRequest, suspicion: Suspicion, first: boolean): void {
    if (suspicion > 0 && request.lane !== 'realtime') suspects.add(request, suspicion)
    else if (first) lines[request.lane].addFirst(request)
    else lines[request.lane].add(request)
  }
  const ready = (): PerLane => ({
    realtime: lines.realtime.size,
    standard: lines.standard.size + suspects.waiting('standard'),
    batch: lines.batch.size + suspects.waiting('batch'),
  })

  return {
    lines,
    suspects,
    add(request, { nowMs, dueMs, suspicion, first }) {
      if (dueMs > nowMs) delayed.set(request.id, { request, dueMs, suspicion })
      else enter(request, suspicion, first)
    },
    remove: (id) => delayed.delete(id) || suspects.remove(id) || lanes.some((lane) => lines[lane].remove(id)),
    enterDue(nowMs) {
      for (const [id, { request, dueMs, suspicion }] of delayed) {
        if (dueMs > nowMs) continue
        delayed.delete(id)
        enter(request, suspicion, true)
      }
    },
    ready,
    waiting() {
      const counted = ready()
      for (const { request } of delayed.values()) counted[request.lane]++
      return counted
    },
    nextDueMs() {
      let next: number | undefined
      for (const { dueMs } of delayed.values()) next = Math.min(next ?? dueMs, dueMs)
      return next
    },
  }
}
