import type { EngineView } from './engine-view.ts'
import { engineWaitingMax, type FreeRoom } from './free-room.ts'
import { type RunningRequest, sumOf } from './running-requests.ts'
import type { WaitingRoom } from './waiting-room.ts'

// A request that was sent back this often keeps its seat, so that it ends at last.
const preemptionsMax = 2

/** Which requests make way for live ones. */
export interface Preemption {
  /** Ids of those to be aborted and added again, youngest first. */
  victims(nowMs: number): string[]
  /** The request is over: how often it made way does not matter any more. */
  forget(id: string): void
}

/** Counts for each request how often it made way. */
export function makePreemption(deps: { view: EngineView; room: WaitingRoom; free: FreeRoom }): Preemption {
  const { free, view } = deps
  const { live, options, pending, running, seats } = view
  const { realtime } = deps.room.lines
  const { count } = running
  const preempted = new Map<string, number>()

  /** Live requests at the engine that got no token for longer than the objective allows. */
  function lateAtEngine(nowMs: number): number {
    const objectiveMs = options.objective?.ttftP99Ms
    if (objectiveMs === undefined || !view.sample || view.sample.waiting <= engineWaitingMax) return 0
    let late = 0
    for (const { lastTokenMs, request, cameMs } of running.values()) {
      if (pending.has(request.id) && lastTokenMs === undefined && nowMs - cameMs > 2 * objectiveMs) late++
    }
    return late
  }

  /** Live requests that wait here for a seat or memory. */
  function inLine(nowMs: number): number {
    const next = realtime.find(() => true, 1)
    if (!next || (sumOf(count) < seats.liveCeiling && free.fits(next, nowMs))) return 0
    return Math.max(0, Math.min(realtime.size, free.liveSeatsMax() - count.realtime))
  }

  return {
    victims(nowMs) {
      // What waits inside the engine for a seat makes live requests wait behind it; it has not begun, so little is lost.
      const beyond = seats.isFound && live.isRecent(nowMs) ? sumOf(count) - seats.ceiling : 0
      const needed = Math.max(beyond, lateAtEngine(nowMs) + inLine(nowMs))
      if (needed <= 0) return []
      let leaving = 0
      const candidates: RunningRequest[] = []
      for (const entry of running.values()) {
        if (entry.leaving) leaving++
        else if (entry.request.lane !== 'realtime' && (preempted.get(entry.request.id) ?? 0) < preemptionsMax) {
          candidates.push(entry)
        }
      }
      const chosen = candidates.sort((a, b) => b.startedMs - a.startedMs).slice(0, Math.max(0, needed - leaving))
      for (const entry of chosen) {
        const { id } = entry.request
        preempted.set(id, (preempted.get(id) ?? 0) + 1)
        entry.leaving = true
      }
      return chosen.map(({ request }) => request.id)
    },
    forget: (id) => void preempted.delete(id),
  }
}
