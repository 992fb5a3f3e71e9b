import type { Lane } from '@forebay/contracts'
import type { PerLane } from './request.ts'

// Of the ceiling: what a lane with work has at the engine at least, however much of the others there is.
const floorShare = 1 / 40
// Of what realtime leaves: what standard and batch leave to each other.
const lowShare = 1 / 4

/** Requests that a lane of low priority may always have at the engine, so that it never starves. */
export function floorOf(ceiling: number): number {
  return Math.max(1, Math.floor(ceiling * floorShare))
}

/** Seats that a lane must leave free to those of the lanes below it that have work and less than their floor. */
export function seatsLeftToOthers(lane: Lane, ceiling: number, count: PerLane, waiting: PerLane): number {
  // With very few seats, realtime simply goes first.
  if (ceiling < 4) return 0
  const floor = floorOf(ceiling)
  if (lane === 'realtime') {
    return missing(count.standard, waiting.standard, floor) + missing(count.batch, waiting.batch, floor)
  }
  const other = lane === 'standard' ? 'batch' : 'standard'
  return missing(count[other], waiting[other], Math.max(floor, Math.floor((ceiling - count.realtime) * lowShare)))
}

/** Seats that a lane has work for, up to its floor, and does not hold. */
function missing(held: number, waits: number, floor: number): number {
  return Math.max(0, Math.min(floor, held + waits) - held)
}
