/** A place; undefined: not said. */
interface Place {
  readonly cloud: string | undefined
  readonly region: string | undefined
}

/** How near a pool is: 1 in the same region, 0.5 in the same cloud, else 0. A place that is not said is near nothing. */
export function proximity(home: Place, pool: Place): number {
  const sameCloud = home.cloud !== undefined && home.cloud === pool.cloud
  const sameRegion = home.region !== undefined && home.region === pool.region
  if (sameRegion && (sameCloud || home.cloud === undefined || pool.cloud === undefined)) return 1
  return sameCloud ? 0.5 : 0
}
