/** A run of a source's bytes. The last one is known as such before it is given out; numbers count from 1. */
export interface Piece {
  readonly number: number
  readonly offset: number
  readonly bytes: Buffer
  readonly last: boolean
}

/** Cuts a source into pieces of exactly `pieceBytes`, but for the last. An empty source is one empty piece. */
export async function* piecesOf(
  source: AsyncIterable<Uint8Array> | Uint8Array,
  pieceBytes: number,
): AsyncGenerator<Piece> {
  let held: Uint8Array[] = []
  let heldBytes = 0
  let number = 1
  let offset = 0
  const take = (last: boolean): Piece => {
    const piece = { number, offset, bytes: Buffer.concat(held, heldBytes), last }
    number += 1
    offset += heldBytes
    held = []
    heldBytes = 0
    return piece
  }
  for await (const chunk of source instanceof Uint8Array ? [source] : source) {
    let rest = chunk
    while (rest.byteLength > 0) {
      // A full piece waits for one more byte: only then is it sure not to be the last.
      if (heldBytes === pieceBytes) yield take(false)
      const part = rest.subarray(0, pieceBytes - heldBytes)
      held.push(part)
      heldBytes += part.byteLength
      rest = rest.subarray(part.byteLength)
    }
  }
  yield take(true)
}
