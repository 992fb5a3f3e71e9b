import type { Queryable, Row } from '@forebay/store'

// Where neither the file nor the autoscaler says how long a worker takes to come.
const coldStartUnsaid = 180

/** What was last decided about the workers of a pool. */
export interface PoolScaling extends Row {
  pool: string
  desired: number
  stuck: boolean
  reason: string
  ageSeconds: number
}

/** The latest decision of every pool; of none where no autoscaler runs. */
export async function readScaling(db: Queryable): Promise<ReadonlyMap<string, PoolScaling>> {
  const rows = await db.query<PoolScaling>(
    `SELECT pool, desired, stuck, reason, greatest(0, extract(epoch FROM now() - decided_at))::int AS "ageSeconds" FROM scaling`,
  )
  return new Map(rows.map((row) => [row.pool, row]))
}

/** Why a pool lacks workers that it needs, with the numbers; null when it lacks none that anybody asked for. */
export function missingWorkers(of: {
  workers: number
  /** Jobs on its queues that no worker holds. */
  waiting: number
  scaled: PoolScaling | undefined
  coldStartSeconds: number | undefined
}): string | null {
  const { coldStartSeconds = coldStartUnsaid, scaled, waiting, workers } = of
  if (scaled && scaled.desired > 0 && (scaled.stuck || workers === 0)) {
    return `${workers} of ${scaled.desired} workers are there. ${scaled.reason} (decided ${scaled.ageSeconds} s ago)`
  }
  if (workers > 0 || waiting === 0) return null
  const asked = scaled ? 'the autoscaler asks for none' : 'no autoscaler has decided anything'
  return `No worker is there and ${waiting} jobs wait; ${asked}, and one takes about ${coldStartSeconds} s to come.`
}
