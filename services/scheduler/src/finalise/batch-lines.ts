import type { BlobStore } from '@forebay/blobs'
import { isBlank, LineSplitter } from '../plan/line-splitter.ts'
import type { ResultRow } from './result-rows.ts'

/** A line of a closed batch: how it ended, or that it never ran. */
export type BatchLine = { row: ResultRow } | { row: undefined; line: number; customId: string }

/** The lines of a batch all of which ran: its rows. */
export async function* finishedOnly(rows: AsyncIterable<ResultRow>): AsyncGenerator<BatchLine> {
  for await (const row of rows) yield { row }
}

/** Every line of the input file in order, with its row where it has one. The file was validated when the batch was planned. */
export async function* everyLine(options: {
  blobs: BlobStore
  inputKey: string
  maxLineBytes: number
  rows: AsyncGenerator<ResultRow>
}): AsyncGenerator<BatchLine> {
  const { rows } = options
  // The limit in force now may be lower than it was then.
  const splitter = new LineSplitter({ lineBytesMax: Math.max(options.maxLineBytes, 2 ** 24) })
  let next = await rows.next()
  const found: { line: number; bytes: Buffer | undefined }[] = []
  const onLine = (line: { number: number; bytes: Buffer | undefined }) => {
    if (!line.bytes || !isBlank(line.bytes)) found.push({ line: line.number, bytes: line.bytes })
  }
  const emit = async function* (): AsyncGenerator<BatchLine> {
    for (const { line, bytes } of found.splice(0)) {
      if (!next.done && next.value.line === line) {
        yield { row: next.value }
        next = await rows.next()
      } else yield { row: undefined, line, customId: customIdOf(bytes) }
    }
  }
  for await (const piece of await options.blobs.read(options.inputKey)) {
    splitter.push(piece, onLine)
    yield* emit()
  }
  splitter.end(onLine)
  yield* emit()
}

function customIdOf(bytes: Buffer | undefined): string {
  const value: unknown = JSON.parse(bytes?.toString('utf8') ?? '{}')
  const id = typeof value === 'object' && value !== null && 'custom_id' in value ? value.custom_id : undefined
  return typeof id === 'string' ? id : ''
}
