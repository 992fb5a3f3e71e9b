import type { Lane } from '@forebay/contracts'
import { shareSeats } from '@forebay/queue-core'

/** A number per lane. */
export type PerLane = Record<Lane, number>

interface Demand {
  ceiling: number
  realtimeSeats: number | undefined
  inFlight: PerLane
  waiting: PerLane
}

/**
 * How many requests each lane may have at the engine. Standard and batch together never take the realtime seats, and
 * each of the two has a quarter of the others to itself while it has demand.
 */
export function seatLimits({ ceiling, inFlight, realtimeSeats, waiting }: Demand): PerLane {
  const seats = ceiling - realtimeReserve(ceiling, realtimeSeats)
  const floor = Math.ceil(seats / 4)
  const [standard = 0, batch = 0] = shareSeats({
    seats,
    floors: [floor, floor],
    demand: [inFlight.standard + waiting.standard, inFlight.batch + waiting.batch],
  })
  return { realtime: ceiling, standard, batch }
}

/**
 * Free seats that a lane must leave to the lower lanes: a fortieth of all, at least one, for each that has work, so
 * that a flood of realtime slows them but never stops them. With very few seats, realtime simply goes first.
 */
export function seatsLeftToOthers(lane: Lane, { ceiling, inFlight, waiting }: Demand): number {
  if (ceiling < 4) return 0
  const floor = Math.max(1, Math.floor(ceiling / 40))
  const missing = (other: Lane) =>
    other === lane ? 0 : Math.max(0, Math.min(floor, inFlight[other] + waiting[other]) - inFlight[other])
  return missing('standard') + missing('batch')
}

/** Seats that standard and batch never take: as configured, else a quarter; at least one seat is left to them. */
export function realtimeReserve(ceiling: number, configured: number | undefined): number {
  return Math.max(0, Math.min(configured ?? Math.floor(ceiling / 4), ceiling - 1))
}
