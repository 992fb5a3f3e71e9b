import type { BlobStore } from '@forebay/blobs'
import { batchRequestId, type OutputLine } from '@forebay/contracts'
import type { BatchLine } from './batch-lines.ts'
import { readParts } from './read-parts.ts'
import { ResultFile, type WrittenFile } from './result-file.ts'

// How much of the results is in memory at once, about.
const sliceBytes = 8 * 1024 * 1024
const sliceLines = 1000

const neverRun = {
  expired: {
    code: 'batch_expired',
    message: 'This request could not be executed before the completion window expired.',
  },
  cancelled: { code: 'batch_cancelled', message: 'This request was not executed because the batch was cancelled.' },
  completed: { code: 'internal', message: 'The result of this request could not be read.' },
} as const

/**
 * Writes a batch's output and error files in one pass over its lines, in their order: requests that succeeded to the
 * one, all others to the other. Constant memory. Nothing is left behind when it throws.
 */
export async function writeResults(options: {
  blobs: BlobStore
  /** Where the parts lie that a pool's workers wrote. */
  storeOf: (pool: string) => Pick<BlobStore, 'readRange'>
  batchId: string
  finalStatus: 'completed' | 'expired' | 'cancelled'
  lines: AsyncIterable<BatchLine>
  outputKey: string
  errorKey: string
  signal: AbortSignal
}): Promise<{ output: WrittenFile | undefined; error: WrittenFile | undefined }> {
  const { blobs, signal } = options
  const output = new ResultFile({ blobs, key: options.outputKey })
  const error = new ResultFile({ blobs, key: options.errorKey })
  const write = async (slice: readonly BatchLine[]) => {
    signal.throwIfAborted()
    const ran = slice.flatMap(({ row }) => (row ? [row] : []))
    const bytes = (await readParts(options.storeOf, ran))[Symbol.iterator]()
    for (const line of slice) {
      const stored = line.row ? bytes.next().value : undefined
      const file = stored && line.row?.outcome === 'succeeded' ? output : error
      await file.write(stored ?? errorLine(options.batchId, line, options.finalStatus))
    }
  }
  try {
    for await (const slice of inSlices(options.lines)) await write(slice)
    return { output: await output.finish(), error: await error.finish() }
  } catch (err) {
    await Promise.all([output.abort(), error.abort()])
    throw err
  }
}

async function* inSlices(lines: AsyncIterable<BatchLine>): AsyncGenerator<BatchLine[]> {
  let slice: BatchLine[] = []
  let bytes = 0
  for await (const line of lines) {
    slice.push(line)
    bytes += line.row?.partBytes ?? 0
    if (slice.length < sliceLines && bytes < sliceBytes) continue
    yield slice
    slice = []
    bytes = 0
  }
  yield slice
}

function errorLine(batchId: string, line: BatchLine, finalStatus: keyof typeof neverRun): Buffer {
  const { row } = line
  const number = row ? row.line : line.line
  const customId = row ? (row.customId ?? '') : line.customId
  const error = row ? { ...neverRun.completed, code: row.errorCode ?? 'internal' } : neverRun[finalStatus]
  const text: OutputLine = { id: batchRequestId(batchId, number), custom_id: customId, response: null, error }
  return Buffer.from(JSON.stringify(text))
}
