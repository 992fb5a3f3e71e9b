import type { Lane } from '@forebay/contracts'
import { shareSeats } from '@forebay/queue-core'

/** A number per lane. */
export type PerLane = Record<Lane, number>

/**
 * How many requests each lane may have at the engine. Standard and batch together never take the realtime seats; each
 * of the two has a quarter of what is left to itself while it has demand, and a twentieth of all seats is closed to
 * realtime while they have, so that no lane starves.
 */
export function seatLimits(options: {
  ceiling: number
  realtimeSeats: number | undefined
  inFlight: PerLane
  waiting: PerLane
}): PerLane {
  const { ceiling, inFlight, waiting } = options
  const reserved = realtimeReserve(ceiling, options.realtimeSeats)
  const seats = ceiling - reserved
  const floor = Math.ceil(seats / 4)
  const [standard = 0, batch = 0] = shareSeats({
    seats,
    floors: [floor, floor],
    demand: [inFlight.standard + waiting.standard, inFlight.batch + waiting.batch],
  })
  const lowDemand = standard + batch
  // With very few seats there is nothing to close: realtime then simply goes first.
  const closed = ceiling < 4 ? 0 : Math.min(lowDemand, Math.max(1, Math.floor(ceiling / 20)))
  return { realtime: ceiling - closed, standard, batch }
}

/** Seats that standard and batch never take: as configured, else a quarter; at least one seat is left to them. */
export function realtimeReserve(ceiling: number, configured: number | undefined): number {
  return Math.max(0, Math.min(configured ?? Math.floor(ceiling / 4), ceiling - 1))
}
