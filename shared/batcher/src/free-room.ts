import type { Lane } from '@forebay/contracts'
import type { EngineView } from './engine-view.ts'
import { seatsLeftToOthers } from './lane-shares.ts'
import type { BatcherRequest } from './request.ts'
import { lowOf, sumOf } from './running-requests.ts'
import { isFresh } from './token-budget.ts'
import type { WaitingRoom } from './waiting-room.ts'

/** Beside live requests, batch work is let in only while about nothing waits inside the engine. */
export const engineWaitingMax = 4

/** Which seats and how much memory of the engine a request may have. */
export interface FreeRoom {
  /** Whether its KV tokens fit. One request alone always does, or a large one would never run. */
  fits(request: BatcherRequest, nowMs: number): boolean
  /** Whether one more of the lane may start, as far as seats go. */
  seatFree(lane: Lane, nowMs: number): boolean
  /** Whether requests wait inside the engine, where those of the batch lane could not be told from live ones. */
  engineQueues(lane: Lane, nowMs: number): boolean
  /** Seats that live requests may have; in full memory, no more than they hold. */
  liveSeats(): number
  /** Seats that live requests may have when all others make way. */
  liveSeatsMax(): number
}

/** Reckons from what runs and what waits. */
export function makeFreeRoom({ view, room }: { view: EngineView; room: WaitingRoom }): FreeRoom {
  const { budget, lengths, live, options, seats } = view
  const { count, tokens } = view.running

  /** Seats kept free for the live requests that may come. */
  function seatsKept(nowMs: number): number {
    const wanted = options.realtimeSeats ?? live.reserve(nowMs).requests
    return Math.max(0, Math.min(wanted, seats.ceiling - 1) - count.realtime)
  }
  const leftToOthers = (lane: Lane) => seatsLeftToOthers(lane, seats.ceiling, count, room.ready())
  const liveSeatsMax = () => seats.liveCeiling - leftToOthers('realtime')

  return {
    fits(request, nowMs) {
      const capacity = budget.capacity()
      if (capacity === undefined) return true
      const isRealtime = request.lane === 'realtime'
      if (isRealtime ? count.realtime === 0 : sumOf(count) === 0) return true
      const { outputTokens, promptTokens } = lengths.estimate(request)
      const kept = isRealtime ? 0 : Math.max(0, live.reserve(nowMs).tokens - tokens.realtime)
      return sumOf(tokens) + promptTokens + outputTokens + Math.min(kept, capacity / 2) <= capacity
    },
    seatFree(lane, nowMs) {
      const total = sumOf(count)
      const others = leftToOthers(lane)
      if (lane === 'realtime') return total + others < seats.liveCeiling
      return total + Math.max(others, seatsKept(nowMs)) < seats.ceiling
    },
    engineQueues(lane, nowMs) {
      const { sample } = view
      return lane === 'batch' && sample !== undefined && isFresh(sample, nowMs) && sample.waiting > engineWaitingMax
    },
    liveSeats() {
      if (lowOf(count) === 0 && sumOf(count) < seats.liveCeiling) return count.realtime
      return liveSeatsMax()
    },
    liveSeatsMax,
  }
}
