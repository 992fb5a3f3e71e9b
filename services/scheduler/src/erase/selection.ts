import type { Queryable, Row } from '@forebay/store'

/** An erasure as it stands in the database. */
export interface Erasure extends Row {
  id: string
  tenantId: string
  selector: 'file' | 'batch' | 'key' | 'tenant' | 'end_user'
  target: string
  requestedBy: string
  /** What came later is not erased. */
  createdAtMs: number
}

/**
 * `sel`: the batches of erasure $1, as far as they were there when it was asked for, with the batches that a judge model
 * read their answers in. The same on every run: batches stay as rows.
 */
const selected = `WITH e AS (SELECT * FROM erasures WHERE id = $1),
  named AS (SELECT b.id FROM batches b, e WHERE b.tenant_id = e.tenant_id AND b.created_at <= e.created_at
    AND CASE e.selector
      WHEN 'file' THEN e.target IN (b.input_file_id, b.output_file_id, b.error_file_id)
      WHEN 'batch' THEN b.id = e.target
      WHEN 'key' THEN b.api_key_id = e.target
      ELSE e.selector = 'tenant' END),
  sel AS (SELECT id FROM named UNION SELECT judge_batch_id FROM judge_runs
    WHERE judge_batch_id IS NOT NULL AND batch_id IN (SELECT id FROM named))`

/** `chosen`: the files of the erasure; an input that a batch beside the selected ones reads is `kept`, unless it was named. */
const chosen = `${selected}, chosen AS (
  SELECT f.id, f.blob_key, f.filename, f.deleted_at, e.selector IN ('batch', 'key') AND EXISTS (
      SELECT 1 FROM batches b WHERE b.input_file_id = f.id AND b.id NOT IN (SELECT id FROM sel)) AS kept
  FROM files f, e
  WHERE f.id IN (SELECT unnest(ARRAY[input_file_id, output_file_id, error_file_id]) FROM batches WHERE id IN (SELECT id FROM sel))
      OR f.tenant_id = e.tenant_id AND f.created_at <= e.created_at AND CASE e.selector
        WHEN 'file' THEN f.id = e.target
        WHEN 'key' THEN f.api_key_id = e.target
        WHEN 'tenant' THEN true
        ELSE false END)`

/** Asks the selected batches that still run to be cancelled. Answers how many are not at their end yet. */
export async function stopBatches(db: Queryable, erasureId: string): Promise<number> {
  const cancelled = await db.query<Row & { id: string }>(
    `${selected} UPDATE batches SET status = 'cancelling', cancelling_at = now()
     WHERE id IN (SELECT id FROM sel) AND status IN ('validating', 'in_progress') RETURNING id`,
    [erasureId],
  )
  for (const { id } of cancelled) await db.query("SELECT pg_notify('forebay_batches', $1)", [id])
  const [left] = await db.query<Row & { running: number }>(
    `${selected} SELECT count(*)::int AS running FROM batches WHERE id IN (SELECT id FROM sel)
       AND status IN ('validating', 'in_progress', 'finalizing', 'cancelling')`,
    [erasureId],
  )
  return left?.running ?? 0
}

/** The next files to erase. */
export function filesToErase(db: Queryable, erasureId: string, limit: number) {
  return db.query<Row & { id: string; blobKey: string }>(
    `${chosen} SELECT id, blob_key AS "blobKey" FROM chosen
     WHERE NOT kept AND (deleted_at IS NULL OR filename <> 'erased') ORDER BY id LIMIT $2`,
    [erasureId, limit],
  )
}

/** Inputs that stay, as other batches read them, too. */
export async function filesKept(db: Queryable, erasureId: string): Promise<string[]> {
  const rows = await db.query<Row & { id: string }>(
    `${chosen} SELECT id FROM chosen WHERE kept AND deleted_at IS NULL ORDER BY id LIMIT 1000`,
    [erasureId],
  )
  return rows.map(({ id }) => id)
}

/** Selected batches by id, after `after`; with `unerased` only those that still hold anything. */
export function selectedBatches(
  db: Queryable,
  erasureId: string,
  page: { after: string; unerased: boolean; limit: number },
) {
  return db.query<Row & { id: string; tenantId: string }>(
    `${selected} SELECT id, tenant_id AS "tenantId" FROM batches WHERE id IN (SELECT id FROM sel) AND id > $2
       AND (NOT $3 OR erased_at IS NULL) ORDER BY id LIMIT $4`,
    [erasureId, page.after, page.unerased, page.limit],
  )
}
