import { createHash } from 'node:crypto'
import type { Queryable, Row } from '@forebay/store'

/** One thing the chain holds: an audit row, or an event of the log itself. */
export interface Entry {
  tenantId: string
  id: string
  /** Day of birth, of a row; the day of an event. */
  born: string
  kind: 'row' | 'event'
  /** Its custom id and body hash are gone; a commitment to them is left. */
  erased: boolean
  hash: Buffer
}

// Text, numbers and times in whole microseconds: the same bytes from every server. Never change it: add another
// version beside it.
const micros = (column: string) => `(extract(epoch FROM ${column}) * 1000000)::bigint`

/**
 * What an audit row keeps of what can be erased: a hash of it with a salt that goes when it goes. SQL over `requests`. Of
 * a row that names no end user it is what it was before rows could name one.
 */
export const commitmentSql = `sha256(convert_to((CASE WHEN end_user IS NULL
  THEN json_build_array(salt, custom_id, encode(body_hash, 'hex'))
  ELSE json_build_array(salt, custom_id, encode(body_hash, 'hex'), encode(end_user, 'hex')) END)::text, 'UTF8'))`

/** What the chain holds of a row. SQL over `requests`. */
export const rowText = `json_build_array('row', born, id, tenant_id, project_id, api_key_id, batch_id, line, chunk, endpoint, model,
  model_version, pool, lane, worker_id, attempt, source, outcome, status_code, error_code, prompt_tokens, cached_tokens,
  completion_tokens, reasoning_tokens, gpu_micros, queued_ms, batcher_ms, first_token_ms, duration_ms, input_key,
  input_offset, input_bytes, part_key, part_offset, part_bytes, encode(coalesce(commitment, ${commitmentSql}), 'hex'),
  commit_order, ${micros('finished_at')}, ${micros('committed_at')})::text`

/** What it holds of an event. SQL over `audit_events`. */
export const eventText = `json_build_array('event', id, tenant_id, action, actor, data::text, ${micros('at')}, commit_order)::text`

/** Version of the encoding above, and of the blocks' own. */
export const encodingVersion = 1

/**
 * The entries of a range of the order, by tenant and within it in the order of the chain. `tenantId` undefined: of
 * every tenant.
 */
export async function readEntries(
  db: Queryable,
  range: { from: number; to: number; tenantId?: string | undefined },
): Promise<Entry[]> {
  const where = 'commit_order >= $1 AND commit_order < $2 AND ($3::text IS NULL OR tenant_id = $3)'
  const rows = await db.query<Row & Omit<Entry, 'hash'> & { text: string }>(
    `SELECT * FROM (
       SELECT tenant_id AS "tenantId", id, born::text, 'row' AS kind, commitment IS NOT NULL AS erased, commit_order,
         ${rowText} AS text FROM requests WHERE ${where}
       UNION ALL
       SELECT tenant_id, id, (at AT TIME ZONE 'UTC')::date::text, 'event', false, commit_order, ${eventText}
       FROM audit_events WHERE ${where}) AS entries
     ORDER BY "tenantId" COLLATE "C", commit_order, id COLLATE "C"`,
    [range.from, range.to, range.tenantId ?? null],
  )
  return rows.map(({ tenantId, id, born, kind, erased, text }) => ({
    tenantId,
    id,
    born,
    kind,
    erased,
    hash: createHash('sha256').update(text).digest(),
  }))
}
