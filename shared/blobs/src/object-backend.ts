import type { Readable } from 'node:stream'
import type { Piece } from './pieces.ts'

/** An upload of an object in pieces, which shows nothing until it is completed. */
export interface PieceUpload {
  /** How many pieces may be on their way at once; 1 keeps them in order. */
  readonly parallel: number
  send(piece: Piece): Promise<void>
  /** Makes the object appear, every piece sent. */
  complete(): Promise<void>
  /** Gives the pieces up; called once none is on its way. */
  abort(): Promise<void>
}

/** What went wrong in an object store's own terms; `hint` names the fault and the way out. */
export type Fault =
  | { kind: 'missing' | 'past_end' | 'denied' | 'busy' }
  | {
      kind: 'config'
      hint: string
    }

/**
 * What a driver does for its store; `makeObjectStore` makes the port of it. Keys are whole (prefix included) and
 * already checked. Methods reject with whatever the SDK threw, which `faultOf` explains.
 */
export interface ObjectBackend {
  /** What errors call the store, such as `the S3 bucket 'x'`. */
  readonly place: string
  /** The permission each need goes by at this store. */
  readonly permissions: Readonly<Record<'write' | 'read' | 'list' | 'delete', string>>
  /** Stores a small object in one request, whole or not at all. */
  putWhole(key: string, bytes: Uint8Array): Promise<void>
  startUpload(key: string): Promise<PieceUpload>
  /** Rejects before the first byte when there is no such object. The range is never empty. */
  open(key: string, range?: { start: number; end: number }): Promise<Readable>
  size(key: string): Promise<number>
  /** May reject with `missing`. */
  delete(key: string): Promise<void>
  /** The keys that start with `prefix`, page by page. */
  list(prefix: string): AsyncIterable<string[]>
  /** Deletes one page of keys; what is gone already is no error. */
  deletePage(keys: string[]): Promise<void>
  /** Explains an error of this store; undefined when it cannot. */
  faultOf(err: unknown): Fault | undefined
}
