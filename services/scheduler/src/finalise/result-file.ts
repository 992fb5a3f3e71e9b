import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import type { BlobStore } from '@forebay/blobs'

const flushBytes = 256 * 1024
const lineFeed = Buffer.from('\n')

/** What was written. */
export interface WrittenFile {
  bytes: number
  lines: number
  sha256: Buffer
}

/** A file of lines streamed into a blob in bounded memory, counted and hashed on the way. The blob is begun with the first line: no line, no blob. */
export class ResultFile {
  readonly #blobs: BlobStore
  readonly #key: string
  readonly #hash = createHash('sha256')
  #stream: PassThrough | undefined
  #put: Promise<unknown> | undefined
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #bytes = 0
  #lines = 0

  constructor(options: { blobs: BlobStore; key: string }) {
    this.#blobs = options.blobs
    this.#key = options.key
  }

  /** Adds a line, with or without its line feed. Rejects when the blob cannot be written. */
  async write(line: Buffer): Promise<void> {
    this.#waiting.push(line)
    this.#waitingBytes += line.length
    if (line.at(-1) !== 0x0a) {
      this.#waiting.push(lineFeed)
      this.#waitingBytes++
    }
    this.#lines++
    if (this.#waitingBytes >= flushBytes) await this.#flush()
  }

  /** Completes the blob; undefined when there was no line. */
  async finish(): Promise<WrittenFile | undefined> {
    if (this.#lines === 0) return undefined
    await this.#flush()
    this.#stream?.end()
    await this.#put
    return { bytes: this.#bytes, lines: this.#lines, sha256: this.#hash.digest() }
  }

  /** Gives up, leaving no blob. Harmless after `finish`. */
  async abort(): Promise<void> {
    this.#stream?.destroy(new Error('the file was given up'))
    await this.#put?.catch(() => {})
  }

  async #flush(): Promise<void> {
    const piece = Buffer.concat(this.#waiting)
    this.#waiting = []
    this.#waitingBytes = 0
    this.#bytes += piece.length
    this.#hash.update(piece)
    this.#stream ??= this.#open()
    if (!this.#stream.write(piece)) await Promise.race([once(this.#stream, 'drain'), this.#put])
  }

  #open(): PassThrough {
    const stream = new PassThrough({ highWaterMark: flushBytes })
    stream.on('error', () => {})
    this.#put = this.#blobs.put(this.#key, stream)
    // Heard by whoever writes or finishes next.
    this.#put.catch(() => {})
    return stream
  }
}
