import { ofEndUserSql } from '@forebay/audit'
import type { BlobStore } from '@forebay/blobs'
import type { Config } from '@forebay/config'
import type { Pools } from '@forebay/pools'
import type { Database, Row } from '@forebay/store'

const daysPerRun = 40

/** What deleting live content needs. */
export interface LiveContentOptions {
  db: Database
  blobs: BlobStore
  pools: Pools
}

/**
 * Deletes the bodies and answers of live requests of the days that their tenants no longer keep, a number of days at a
 * time; true when there is more. Like files they are kept for as long as inputs and outputs, by whole days.
 */
export async function sweepLiveContent(
  options: LiveContentOptions & { config: Pick<Config, 'retentionInputDays' | 'retentionOutputDays'> },
): Promise<boolean> {
  const { config, db } = options
  let more = false
  for (const [what, column, days, normal] of [
    ['requests', 'live_requests_from', 'input_days', config.retentionInputDays ?? null],
    ['answers', 'live_answers_from', 'output_days', config.retentionOutputDays],
  ] as const) {
    const due = await db.query<Row & { tenantId: string; day: string }>(
      `SELECT tenant_id AS "tenantId", day::date::text AS day FROM tenant_retention r, LATERAL generate_series(
         ${column}::timestamp, ((now() AT TIME ZONE 'UTC')::date - 1 - CASE WHEN zero THEN 0 ELSE coalesce(${days}, $1::int) END)::timestamp,
         interval '1 day') AS day ORDER BY 1, 2 LIMIT ${daysPerRun}`,
      [normal],
    )
    for (const { day, tenantId } of due) {
      await deleteEverywhere(options, `tenants/${tenantId}/live/${what}/${day}/`)
      await db.query(`UPDATE tenant_retention SET ${column} = $2::date + 1 WHERE tenant_id = $1`, [tenantId, day])
    }
    more ||= due.length === daysPerRun
  }
  return more
}

/** Deletes all live content of a tenant; of one of its keys, or one of its end users, when that is named. */
export async function eraseLiveContent(
  options: LiveContentOptions,
  of: { tenantId: string; apiKeyId?: string | undefined; endUser?: { hash: string; beforeMs: number } },
): Promise<void> {
  const { apiKeyId, endUser, tenantId } = of
  const prefix = `tenants/${tenantId}/live/`
  if (apiKeyId === undefined && !endUser) return deleteEverywhere(options, prefix)
  const { blobs, db, pools } = options
  const whose = endUser ? ofEndUserSql : 'tenant_id = $1 AND api_key_id = $2 AND $3::bigint = 0'
  for (let [order, id] = [-1, '']; ; ) {
    const rows = await db.query<Row & { order: number; id: string; pool: string; keys: string[] }>(
      `SELECT commit_order AS order, id, pool, array_remove(ARRAY[input_key, part_key], NULL) AS keys FROM requests
       WHERE ${whose} AND batch_id IS NULL AND coalesce(input_key, part_key) IS NOT NULL
         AND (commit_order, id) > ($4, $5::text) ORDER BY commit_order, id LIMIT 500`,
      [tenantId, endUser?.hash ?? apiKeyId, Math.floor(endUser?.beforeMs ?? 0), order, id],
    )
    for (const { keys, pool } of rows) {
      const store = pools.knows(pool) && !pools.sharesFileStore(pool) ? pools.blobs(pool) : blobs
      for (const key of keys) if (key.startsWith(prefix)) await store.delete(key)
    }
    const last = rows.at(-1)
    if (!last) return
    ;({ id, order } = last)
  }
}

async function deleteEverywhere({ blobs, pools }: LiveContentOptions, prefix: string): Promise<void> {
  const own = pools.list().filter(({ name }) => !pools.sharesFileStore(name))
  for (const store of [blobs, ...own.map(({ name }) => pools.blobs(name))]) await store.deletePrefix(prefix)
}
