/**
 * How many of `seats` each lane may take. Lanes are listed highest first. Each lane first gets its floor, as far as
 * it has demand, so that no lane starves; what is left goes to the highest lanes with demand. When there are fewer
 * seats than floors, the lanes are served a seat each in turn, the highest first.
 * `demand` counts what a lane holds already and what it would take.
 */
export function shareSeats(options: {
  seats: number
  floors: readonly number[]
  demand: readonly number[]
}): readonly number[] {
  const { demand, floors } = options
  const shares = demand.map(() => 0)
  let left = Math.max(0, Math.floor(options.seats))
  const give = (lane: number, upTo: number) => {
    const seats = Math.min(left, Math.max(0, Math.floor(upTo) - (shares[lane] ?? 0)))
    shares[lane] = (shares[lane] ?? 0) + seats
    left -= seats
    return seats
  }
  const floorOf = (lane: number) => Math.min(floors[lane] ?? 0, demand[lane] ?? 0)
  for (let given = true; given && left > 0; ) {
    given = false
    for (const lane of shares.keys()) {
      if (give(lane, Math.min(floorOf(lane), (shares[lane] ?? 0) + 1)) > 0) given = true
    }
  }
  for (const lane of shares.keys()) give(lane, demand[lane] ?? 0)
  return shares
}
