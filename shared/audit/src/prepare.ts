import type { Queryable } from '@forebay/store'

/**
 * Makes the log ready to be written to: the partitions of this month and the next two, and, after the database was
 * restored into a server whose transaction numbers are lower, an order that goes on above what is sealed. Must have run
 * before rows are inserted. Safe to repeat, and from several processes.
 */
export async function prepareAudit(db: Queryable): Promise<void> {
  await db.query(
    `UPDATE audit_clock SET xid_offset = sealed_to - pg_current_xact_id()::text::bigint + 1
     WHERE pg_current_xact_id()::text::bigint + xid_offset < sealed_to`,
  )
  await addAuditMonths(db)
}

/** Makes the partitions of this month and the next two. */
export async function addAuditMonths(db: Queryable): Promise<void> {
  await db.query(
    `SELECT add_audit_month((date_trunc('month', now() AT TIME ZONE 'UTC') + month * interval '1 month')::date)
     FROM generate_series(0, 2) AS month`,
  )
}
