import type { Queryable, Row } from '@forebay/store'
import type { StratumFigures } from './compare-versions.ts'

/**
 * What ended of a model in some pools since a time, by lane and endpoint: only what an engine computed, and nothing that
 * its client left. Checks are those of the answers themselves (`check_failed`).
 */
export async function readFigures(
  db: Queryable,
  of: { model: string; pools: readonly string[]; sinceMs: number },
): Promise<StratumFigures[]> {
  return db.query<StratumFigures & Row>(
    `SELECT lane || ' ' || endpoint AS stratum, count(*)::int AS requests,
       (count(*) FILTER (WHERE outcome = 'failed' AND error_code IS DISTINCT FROM 'check_failed'))::int AS failed,
       (count(*) FILTER (WHERE error_code = 'check_failed'))::int AS "checksFailed",
       (count(*) FILTER (WHERE outcome = 'succeeded'))::int AS answered,
       coalesce(avg(ln(greatest(duration_ms, 1))) FILTER (WHERE outcome = 'succeeded'), 0)::float8 AS "logMsMean",
       coalesce(var_samp(ln(greatest(duration_ms, 1))) FILTER (WHERE outcome = 'succeeded'), 0)::float8 AS "logMsVariance"
     FROM requests
     WHERE committed_at > to_timestamp($3::float8 / 1000) AND born >= (to_timestamp($3::float8 / 1000) - interval '2 days')::date
       AND model = $1 AND pool = ANY ($2) AND source = 'engine' AND outcome <> 'cancelled'
     GROUP BY lane, endpoint`,
    [of.model, of.pools, of.sinceMs],
  )
}
