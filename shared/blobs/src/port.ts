import type { Readable } from 'node:stream'

/** Where bytes are kept: files, plans and parts. Keys are `/`-separated; a driver never lets one leave its root. */
export interface BlobStore {
  /**
   * Streams `source` into `key`, which appears whole or not at all: a failed or aborted put leaves nothing behind.
   * An existing object is replaced. Returns the size. Throws what `source` throws.
   */
  put(key: string, source: AsyncIterable<Uint8Array> | Uint8Array): Promise<{ bytes: number }>
  /** Streams an object, or the range [start, end) of it. Throws ForebayError `not_found` before the first byte. */
  read(key: string, range?: { start: number; end: number }): Promise<Readable>
  /** One range in memory. Throws `not_found`, also when the object is shorter than the range. */
  readRange(key: string, start: number, end: number): Promise<Buffer>
  /** Size in bytes, or undefined when there is no such object. */
  size(key: string): Promise<number | undefined>
  /** Deletes an object; deleting what is not there is no error. */
  delete(key: string): Promise<void>
  /** Deletes every object whose key starts with `prefix` (which ends in `/`). */
  deletePrefix(prefix: string): Promise<void>
  /** Throws when the store cannot be written to, naming what is wrong. */
  check(): Promise<void>
}
