import type { BlobStore } from '../port.ts'

/** Bytes of a size, the same at every call: each one depends on where it stands. */
export function pattern(bytes: number): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4))
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 2_654_435_761)
  return Buffer.from(words.buffer, 0, bytes)
}

/** Gives bytes out in uneven chunks; throws `end`, when there is one, after the last. */
export async function* streamed(bytes: Buffer, end?: Error): AsyncGenerator<Uint8Array> {
  for (let at = 0, size = 1; at < bytes.length; at += size, size = ((size * 3) % 65_521) + 1) {
    yield bytes.subarray(at, at + size)
  }
  if (end) throw end
}

/** The whole of an object, or of a range of it, as `read` streams it. */
export async function readAll(blobs: BlobStore, key: string, range?: { start: number; end: number }): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of await blobs.read(key, range)) pieces.push(piece)
  return Buffer.concat(pieces)
}
