import type { ObjectBackend, PieceUpload } from './object-backend.ts'
import { type Piece, piecesOf } from './pieces.ts'

/** Bytes of a piece: at most a few of them are in memory for one put, and object stores take ten thousand or more. */
const pieceBytes = 8 * 1024 * 1024

/**
 * Streams a source into an object: in one request when it fits a piece, else as an upload in pieces that is completed
 * after the last, or given up when the source or the store fails. Memory stays at a few pieces whatever the size.
 * Throws what the source throws, untouched; errors of the store go through `convert`.
 */
export async function putPieces(options: {
  backend: ObjectBackend
  key: string
  source: AsyncIterable<Uint8Array> | Uint8Array
  convert: (err: unknown) => unknown
}): Promise<{ bytes: number }> {
  const { backend, key, source } = options
  const atStore = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (err) {
      throw options.convert(err)
    }
  }

  let upload: PieceUpload | undefined
  let failure: { err: unknown } | undefined
  const onTheWay = new Set<Promise<void>>()
  const send = (to: PieceUpload, piece: Piece): void => {
    const sending: Promise<void> = atStore(() => to.send(piece))
      .catch((err: unknown) => {
        failure ??= { err }
      })
      .finally(() => onTheWay.delete(sending))
    onTheWay.add(sending)
  }

  try {
    let bytes = 0
    for await (const piece of piecesOf(source, pieceBytes)) {
      bytes += piece.bytes.byteLength
      if (piece.number === 1 && piece.last) {
        await atStore(() => backend.putWhole(key, piece.bytes))
        return { bytes }
      }
      upload ??= await atStore(() => backend.startUpload(key))
      while (onTheWay.size >= upload.parallel) await Promise.race(onTheWay)
      if (failure) throw failure.err
      send(upload, piece)
    }
    await Promise.all(onTheWay)
    if (failure) throw failure.err
    await atStore(async () => upload?.complete())
    return { bytes }
  } catch (err) {
    // A piece that lands after the upload was given up could stay behind, so none may be on its way by then.
    await Promise.all(onTheWay)
    // The store cannot be told when it cannot be reached: then its own expiry of unfinished uploads clears up.
    await upload?.abort().catch(() => {})
    throw err
  }
}
