import { eraseRows } from '@forebay/audit'
import type { BlobStore } from '@forebay/blobs'
import { batchRequestId } from '@forebay/contracts'
import { findMembers } from '@forebay/plan'
import type { Row } from '@forebay/store'
import { blankLines, findLines } from './blank-lines.ts'
import type { EraseOptions } from './erasures.ts'

/** What stands in an input file where a line was erased: no request, so that a batch which reads it is told of the line. */
export const inputMark = '{"erased":true}'
const outputMark =
  '{"id":"erased","custom_id":"erased","response":null,"error":{"code":"erased","message":"Erased on request."}}'

interface Stored extends Row {
  pool: string
  key: string
  offset: number
  length: number
}

/**
 * Erases lines of a batch that has ended: in its output and error files and in the parts that they are made of a mark is
 * put in their place, its audit rows are emptied of what is a person's. Every other line stays as it was, where it was.
 * The input file is not touched. Safe to repeat. Answers how many files were written anew, and how many rows emptied.
 */
export async function eraseLines(
  options: EraseOptions,
  batch: { id: string; tenantId: string },
  lines: readonly number[],
): Promise<{ files: number; requests: number }> {
  const { db, pools } = options
  await blankParts(options, batch, lines)
  const ids = new Set(lines.map((line) => batchRequestId(batch.id, line)))
  let files = 0
  for (const { blobKey, id } of await db.query<Row & { id: string; blobKey: string }>(
    `SELECT f.id, f.blob_key AS "blobKey" FROM files f JOIN batches b ON f.id IN (b.output_file_id, b.error_file_id)
     WHERE b.id = $1 AND f.deleted_at IS NULL`,
    [batch.id],
  )) {
    const found = await findLines(options.blobs, blobKey, (bytes) => ids.has(idOf(bytes)))
    if (found.length === 0) continue
    await rewriteFile(options, { id, blobKey }, found, outputMark)
    files++
  }
  await db.query(`UPDATE reviews SET note = NULL WHERE note IS NOT NULL AND request_id = ANY($1)`, [[...ids]])
  // Faults of a file that was not accepted quote its lines.
  await db.query('UPDATE batches SET errors = NULL WHERE id = $1 AND errors IS NOT NULL', [batch.id])
  const requests = await eraseRows(db, { tenantId: batch.tenantId, batchId: batch.id, lines })
  // Copies of lines go when their chunk is done; those of a pool that was away then, here.
  for (const { name } of pools.list()) {
    if (pools.sharesFileStore(name)) continue
    await pools.blobs(name).deletePrefix(`tenants/${batch.tenantId}/batches/${batch.id}/staged/`)
  }
  return { files, requests }
}

/** Puts the mark in place of lines of a file, whose length stays. */
export async function rewriteFile(
  { blobs, db }: Pick<EraseOptions, 'blobs' | 'db'>,
  file: { id: string; blobKey: string },
  ranges: readonly { offset: number; length: number }[],
  mark: string,
): Promise<void> {
  const sha256 = await blankLines(blobs, file.blobKey, ranges, mark)
  await db.query('UPDATE files SET sha256 = $2 WHERE id = $1', [file.id, sha256])
}

async function blankParts(
  { blobs, db, pools }: EraseOptions,
  batch: { id: string; tenantId: string },
  lines: readonly number[],
): Promise<void> {
  const rows = await db.query<Stored>(
    `SELECT pool, part_key AS key, part_offset AS offset, part_bytes AS length FROM requests
     WHERE born = born_of($1) AND batch_id = $1 AND tenant_id = $2 AND line = ANY($3) AND part_key IS NOT NULL`,
    [batch.id, batch.tenantId, lines],
  )
  const parts = new Map<string, Stored[]>()
  for (const row of rows) {
    const name = `${row.pool} ${row.key}`
    const known = parts.get(name)
    if (known) known.push(row)
    else parts.set(name, [row])
  }
  for (const ranges of parts.values()) {
    const [first] = ranges
    if (!first) continue
    const store: BlobStore =
      pools.knows(first.pool) && !pools.sharesFileStore(first.pool) ? pools.blobs(first.pool) : blobs
    // Parts go with the files that are made of them.
    if ((await store.size(first.key)) !== undefined) await blankLines(store, first.key, ranges, outputMark)
  }
}

function idOf(line: Buffer): string {
  const span = findMembers(line, ['id'])?.id
  // Ids of lines hold nothing that JSON escapes.
  return span ? line.toString('utf8', span.start + 1, span.end - 1) : ''
}
