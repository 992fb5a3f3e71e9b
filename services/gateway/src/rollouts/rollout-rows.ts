import { type Rollout, rolloutColumns } from '@forebay/rollouts'
import type { Queryable } from '@forebay/store'
import type { MoveRow } from './rollout-object.ts'

/** The moves of some rollouts, in order. */
export async function movesOf(db: Queryable, ids: readonly string[]): Promise<MoveRow[]> {
  return db.query<MoveRow>(
    `SELECT rollout_id AS "rolloutId", (extract(epoch FROM moved_at) * 1000)::float8 AS "atMs", by, state, weight, reason
     FROM rollout_moves WHERE rollout_id = ANY ($1) ORDER BY id`,
    [ids],
  )
}

/** The latest rollouts first, at most `limit`; of one model, when given. */
export async function latestRollouts(
  db: Queryable,
  options: { model?: string | undefined; limit: number },
): Promise<Rollout[]> {
  return db.query<Rollout>(
    `SELECT ${rolloutColumns} FROM rollouts WHERE $1::text IS NULL OR model = $1 ORDER BY created_at DESC, id DESC LIMIT $2`,
    [options.model ?? null, options.limit],
  )
}
