import { eraseRows, ofEndUserSql } from '@forebay/audit'
import { endUserHash, endUserIn, findMembers } from '@forebay/plan'
import type { Row } from '@forebay/store'
import { findLines } from './blank-lines.ts'
import { eraseLines, inputMark, rewriteFile } from './erase-lines.ts'
import type { EraseOptions } from './erasures.ts'
import { eraseLiveContent } from './live-content.ts'
import type { Erasure } from './selection.ts'

/* Of a batch's lines the input file says whose they are, also of those that never ran and of what came before audit rows
   told it; where that file is gone, the rows do. Files are shared by many end users: a mark takes the place of the lines. */

const filesPerPage = 50
const linesPerStep = 5_000

type InputFile = Row & { id: string; blobKey: string }
type Reader = Row & { id: string; tenantId: string; ended: boolean }

/**
 * Erases what was sent for one end user of a tenant until the erasure was asked for. Answers what it waits for, undefined
 * when all is done. `keep` is called between steps.
 */
export async function eraseEndUser(
  options: EraseOptions,
  erasure: Erasure,
  keep: () => Promise<void>,
): Promise<string | undefined> {
  const waiting = await eraseFromFiles(options, erasure, keep)
  if (waiting !== undefined) return waiting
  const left = await eraseByRows(options, erasure, keep)
  if (left !== undefined) return left
  await eraseLiveOfEndUser(options, erasure)
  return undefined
}

/** Live content and what is left of audit rows. */
export async function eraseLiveOfEndUser(options: EraseOptions, erasure: Erasure): Promise<void> {
  const { createdAtMs, target, tenantId } = erasure
  const endUser = { hash: target, beforeMs: createdAtMs }
  await eraseLiveContent(options, { tenantId, endUser })
  await count(options, erasure, { files: 0, requests: await eraseRows(options.db, { tenantId, endUser }) })
}

async function eraseFromFiles(
  options: EraseOptions,
  erasure: Erasure,
  keep: () => Promise<void>,
): Promise<string | undefined> {
  const { blobs, db } = options
  const [tenant] = await db.query<Row & { key: string }>(
    "SELECT encode(end_user_key, 'hex') AS key FROM tenants WHERE id = $1",
    [erasure.tenantId],
  )
  const isTheirs = (line: Buffer) => {
    const span = findMembers(line, ['body'])?.body
    const endUser = span && endUserIn(line.subarray(span.start, span.end))
    return endUser !== undefined && endUserHash(tenant?.key ?? '', endUser) === erasure.target
  }
  for (;;) {
    const files = await db.query<InputFile>(
      `SELECT f.id, f.blob_key AS "blobKey" FROM files f, erasures e WHERE e.id = $1 AND f.tenant_id = e.tenant_id
         AND f.purpose = 'batch' AND f.deleted_at IS NULL AND f.created_at <= e.created_at AND f.id > e.scanned_to
       ORDER BY f.id LIMIT ${filesPerPage}`,
      [erasure.id],
    )
    if (files.length === 0) return undefined
    for (const file of files) {
      await keep()
      const found = await findLines(blobs, file.blobKey, isTheirs)
      if (found.length > 0) {
        const waiting = await eraseFromFile(options, erasure, file, found)
        if (waiting !== undefined) return waiting
      }
      await db.query('UPDATE erasures SET scanned_to = $2 WHERE id = $1', [erasure.id, file.id])
    }
  }
}

async function eraseFromFile(
  options: EraseOptions,
  erasure: Erasure,
  file: InputFile,
  found: readonly { number: number; offset: number; length: number }[],
): Promise<string | undefined> {
  const readers = await options.db.query<Reader>(
    `SELECT id, tenant_id AS "tenantId", ${ended('batches')} AS ended FROM batches WHERE input_file_id = $1 ORDER BY id`,
    [file.id],
  )
  const running = readers.find((reader) => !reader.ended)
  if (running) return waitFor(running.id)
  for (const batch of readers) {
    const waiting = await eraseLinesOf(
      options,
      erasure,
      batch,
      found.map(({ number }) => number),
    )
    if (waiting !== undefined) return waiting
  }
  await rewriteFile(options, file, found, inputMark)
  await count(options, erasure, { files: 1, requests: 0 })
  return undefined
}

/** Lines whose input file is gone. */
async function eraseByRows(
  options: EraseOptions,
  erasure: Erasure,
  keep: () => Promise<void>,
): Promise<string | undefined> {
  const { createdAtMs, target, tenantId } = erasure
  for (;;) {
    await keep()
    const [batch] = await options.db.query<Reader & { lines: number[] }>(
      `WITH page AS (SELECT batch_id, line FROM requests WHERE ${ofEndUserSql} AND batch_id IS NOT NULL LIMIT ${linesPerStep})
       SELECT b.id, b.tenant_id AS "tenantId", ${ended('b')} AS ended, array_agg(page.line) AS lines
       FROM page JOIN batches b ON b.id = page.batch_id GROUP BY b.id ORDER BY b.id LIMIT 1`,
      [tenantId, target, Math.floor(createdAtMs)],
    )
    if (!batch) return undefined
    if (!batch.ended) return waitFor(batch.id)
    const waiting = await eraseLinesOf(options, erasure, batch, batch.lines)
    if (waiting !== undefined) return waiting
  }
}

async function eraseLinesOf(
  options: EraseOptions,
  erasure: Erasure,
  batch: { id: string; tenantId: string },
  lines: readonly number[],
): Promise<string | undefined> {
  // A judge model was given the answers; its files go as soon as they were read.
  const [judge] = await options.db.query<Row & { id: string }>(
    `SELECT f.id FROM judge_runs j JOIN batches b ON b.id = j.judge_batch_id
       JOIN files f ON f.id IN (b.input_file_id, b.output_file_id, b.error_file_id)
     WHERE j.batch_id = $1 AND f.deleted_at IS NULL LIMIT 1`,
    [batch.id],
  )
  if (judge) return `what a judge model was given of the answers of ${batch.id} to be over`
  for (let from = 0; from < lines.length; from += linesPerStep) {
    await count(options, erasure, await eraseLines(options, batch, lines.slice(from, from + linesPerStep)))
  }
  return undefined
}

async function count({ db }: EraseOptions, { id }: Erasure, done: { files: number; requests: number }): Promise<void> {
  await db.query('UPDATE erasures SET files = files + $2, requests = requests + $3 WHERE id = $1', [
    id,
    done.files,
    done.requests,
  ])
}

/** A batch in `finalizing` still writes its files. */
function ended(batches: string): string {
  return `${batches}.status IN ('completed', 'failed', 'expired', 'cancelled')`
}

function waitFor(batchId: string): string {
  return `${batchId}, which has lines of the end user, to come to its end`
}
