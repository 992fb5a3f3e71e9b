import { createHash } from 'node:crypto'
import type { BlobStore } from '@forebay/blobs'
import { type Line, LineSplitter } from '../plan/line-splitter.ts'

/** Some bytes of an object, from its start. */
export interface ByteRange {
  offset: number
  length: number
}

const lineFeed = 0x0a
const lineBytesMax = 2 ** 26

/** The lines of an object for which `which` holds, with their numbers from 1. Memory: one line, and where those found are. */
export async function findLines(
  blobs: Pick<BlobStore, 'read'>,
  key: string,
  which: (bytes: Buffer) => boolean,
): Promise<(ByteRange & { number: number })[]> {
  const found: (ByteRange & { number: number })[] = []
  const splitter = new LineSplitter({ lineBytesMax })
  const onLine = ({ bytes, length, number, offset }: Line) => {
    if (bytes && which(bytes)) found.push({ number, offset, length })
  }
  for await (const piece of await blobs.read(key)) splitter.push(piece, onLine)
  splitter.end(onLine)
  return found
}

/**
 * Puts a mark in place of these bytes, which are whole lines, filled up with spaces: everything else stays where it was, to the byte. Answers
 * the SHA-256 of what the object is then. Streams; the object is replaced whole or not at all.
 */
export async function blankLines(
  blobs: Pick<BlobStore, 'put' | 'read'>,
  key: string,
  ranges: readonly ByteRange[],
  mark: string,
): Promise<Buffer> {
  const hash = createHash('sha256')
  const sorted = [...ranges].sort((a, b) => a.offset - b.offset)
  await blobs.put(
    key,
    blanked(await blobs.read(key), sorted, mark, (piece) => hash.update(piece)),
  )
  return hash.digest()
}

async function* blanked(
  source: AsyncIterable<Buffer>,
  ranges: readonly ByteRange[],
  mark: string,
  onPiece: (piece: Buffer) => void,
): AsyncGenerator<Buffer> {
  let at = 0
  let next = 0
  for await (const given of source) {
    const piece = Buffer.from(given)
    for (;;) {
      const range = ranges[next]
      if (!range || range.offset >= at + piece.length) break
      const end = range.offset + range.length
      const from = Math.max(range.offset, at)
      const to = Math.min(end, at + piece.length)
      const text = markOf(mark, range.length)
      for (let i = from; i < to; i++) {
        // What a range of a part says may hold its line feed.
        if (piece[i - at] !== lineFeed) piece[i - at] = text[i - range.offset] ?? 0x20
      }
      if (end > at + piece.length) break
      next++
    }
    at += piece.length
    onPiece(piece)
    yield piece
  }
}

/** The mark, or nothing where there is no room for it. */
function markOf(mark: string, room: number): Buffer {
  const text = Buffer.from(mark)
  return text.length <= room ? text : Buffer.alloc(0)
}
