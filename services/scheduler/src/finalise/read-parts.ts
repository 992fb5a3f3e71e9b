import type { BlobStore } from '@forebay/blobs'
import type { ResultRow } from './result-rows.ts'

// Reading what lies between two lines is cheaper than another read.
const gapBytes = 64 * 1024
const rangeBytesMax = 4 * 1024 * 1024
const readsMax = 8

interface Piece {
  at: number
  pool: string
  partKey: string
  start: number
  end: number
}

/**
 * The bytes of some rows' lines, in their order, each from the store of the pool that it ran in; undefined for a row
 * without any. Lines of one part that lie near each
 * other are read at once. Memory: the lines, and the gaps read over.
 */
export async function readParts(
  storeOf: (pool: string) => Pick<BlobStore, 'readRange'>,
  rows: readonly ResultRow[],
): Promise<(Buffer | undefined)[]> {
  const lines = new Array<Buffer | undefined>(rows.length)
  const pieces = rows.flatMap(({ partKey, partOffset, partBytes, pool }, at): Piece[] => {
    if (partKey === null || partOffset === null || partBytes === null) return []
    return [{ at, pool, partKey, start: partOffset, end: partOffset + partBytes }]
  })
  const ranges = joinNeighbours(pieces)
  const readNext = async (): Promise<void> => {
    for (let range = ranges.pop(); range; range = ranges.pop()) {
      const [first] = range
      if (!first) continue
      const end = Math.max(...range.map((piece) => piece.end))
      const bytes = await storeOf(first.pool).readRange(first.partKey, first.start, end)
      for (const piece of range) lines[piece.at] = bytes.subarray(piece.start - first.start, piece.end - first.start)
    }
  }
  await Promise.all(Array.from({ length: readsMax }, readNext))
  return lines
}

function joinNeighbours(pieces: readonly Piece[]): Piece[][] {
  const sorted = [...pieces].sort((a, b) =>
    a.partKey === b.partKey ? a.start - b.start : a.partKey < b.partKey ? -1 : 1,
  )
  const ranges: Piece[][] = []
  for (const piece of sorted) {
    const range = ranges.at(-1)
    const [first] = range ?? []
    const last = range?.at(-1)
    const near =
      first?.partKey === piece.partKey &&
      piece.start - (last?.end ?? 0) <= gapBytes &&
      piece.end - first.start <= rangeBytesMax
    if (range && near) range.push(piece)
    else ranges.push([piece])
  }
  return ranges
}
