import type { BlobStore } from '@forebay/blobs'
import { answerTexts } from '@forebay/quality'
import type { Queryable, Row } from '@forebay/store'
import { readParts } from '../finalise/read-parts.ts'
import type { ResultRow } from '../finalise/result-rows.ts'

const sampledMax = 200

/** An answer to be judged, with the body that it answers. */
export interface Sampled {
  requestId: string
  request: unknown
  answer: string
}

interface SampledRow extends ResultRow {
  id: string
  inputKey: string
  inputOffset: number
  inputBytes: number
}

/**
 * A sample of a batch's answers that an engine computed and that succeeded: each with the chance `share`, by its id, so
 * that it is the same sample whenever it is drawn; 200 at most. What can no longer be read is left out.
 */
export async function sampleAnswers(options: {
  db: Queryable
  /** Where a pool's parts and staged lines lie. */
  storeOf: (pool: string) => Pick<BlobStore, 'readRange'>
  files: Pick<BlobStore, 'readRange'>
  batch: { id: string; inputKey: string }
  share: number
}): Promise<Sampled[]> {
  const { batch, db, files, share, storeOf } = options
  const rows = await db.query<Row & SampledRow>(
    `SELECT id, line, custom_id AS "customId", outcome, error_code AS "errorCode", pool, part_key AS "partKey",
       part_offset AS "partOffset", part_bytes AS "partBytes", input_key AS "inputKey", input_offset AS "inputOffset",
       input_bytes AS "inputBytes"
     FROM requests, LATERAL (SELECT hashtextextended(id, 0) & 4294967295 AS drawn) AS dice
     WHERE born = born_of($1) AND batch_id = $1 AND outcome = 'succeeded' AND source = 'engine'
       AND part_key IS NOT NULL AND input_key IS NOT NULL AND drawn < $2::float8 * 4294967296
     ORDER BY drawn LIMIT ${sampledMax}`,
    [batch.id, share],
  )
  const lines = await readParts(storeOf, rows)
  const sampled = await Promise.all(
    rows.map(async (row, i): Promise<Sampled | undefined> => {
      const store = row.inputKey === batch.inputKey ? files : storeOf(row.pool)
      const end = row.inputOffset + row.inputBytes
      // A staged copy of the lines is gone soon after they ran.
      const input = await store.readRange(row.inputKey, row.inputOffset, end).catch(() => undefined)
      const output = parse(lines[i])
      const answer = answerTexts(memberOf(memberOf(output, 'response'), 'body')).join('\n')
      return input && answer !== '' ? { requestId: row.id, request: memberOf(parse(input), 'body'), answer } : undefined
    }),
  )
  return sampled.filter((one) => one !== undefined)
}

function parse(bytes: Buffer | undefined): unknown {
  try {
    return JSON.parse(bytes?.toString() ?? 'null')
  } catch {
    return null
  }
}

function memberOf(value: unknown, name: string): unknown {
  return value !== null && typeof value === 'object' ? (value as Record<string, unknown>)[name] : undefined
}
