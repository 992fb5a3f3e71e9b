import type { Queryable, Row } from '@forebay/store'
import { type Entry, eventText, rowText } from './entries.ts'

/** What a tenant's next block holds. */
export interface NewEntries extends Pick<Entry, 'tenantId'> {
  entries: number
  lastBorn: string
  /** 32 bytes per entry, in the order of the chain. */
  entryHashes: Buffer
}

/**
 * What is to be sealed of a range of the order, by tenant. The entries are hashed where they lie: if each of them
 * travels, that is a fifth of what a result costs the results service. Whoever verifies reads them, and hashes what it
 * has read.
 */
export function readNewEntries(db: Queryable, range: { from: number; to: number }): Promise<NewEntries[]> {
  const where = 'commit_order >= $1 AND commit_order < $2'
  return db.query<Row & NewEntries>(
    `SELECT "tenantId", count(*)::int AS entries, max(born)::text AS "lastBorn",
       string_agg(sha256(convert_to(text, 'UTF8')), ''::bytea ORDER BY commit_order, id COLLATE "C") AS "entryHashes"
     FROM (
       SELECT tenant_id AS "tenantId", id, born, commit_order, ${rowText} AS text FROM requests WHERE ${where}
       UNION ALL
       SELECT tenant_id, id, (at AT TIME ZONE 'UTC')::date, commit_order, ${eventText}
       FROM audit_events WHERE ${where}) AS entries
     GROUP BY "tenantId" ORDER BY "tenantId" COLLATE "C"`,
    [range.from, range.to],
  )
}
