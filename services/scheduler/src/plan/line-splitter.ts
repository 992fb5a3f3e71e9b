const lineFeed = 0x0a
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf])

/** One line of a file, without its line feed. */
export interface Line {
  /** 1-based, counting every line of the file. */
  number: number
  /** Where its first byte lies in the file. */
  offset: number
  length: number
  /** Undefined when the line is longer than was asked to be kept. Valid only during the call that hands it over. */
  bytes: Buffer | undefined
}

/**
 * Cuts a stream of bytes at line feeds, and at nothing else: U+2028 and a bare carriage return may stand inside a JSON
 * text. A byte order mark at the start belongs to no line. Holds at most one line, and none longer than `lineBytesMax`.
 */
export class LineSplitter {
  readonly #lineBytesMax: number
  #offset = 0
  #number = 1
  #carried: Buffer[] = []
  #carriedBytes = 0

  constructor(options: { lineBytesMax: number }) {
    this.#lineBytesMax = options.lineBytesMax
  }

  /** Takes the next bytes and calls `onLine` for each line that ends in them. */
  push(piece: Buffer, onLine: (line: Line) => void): void {
    let start = 0
    for (;;) {
      const end = piece.indexOf(lineFeed, start)
      if (end === -1) break
      this.#finish(piece.subarray(start, end), onLine)
      this.#offset += 1
      start = end + 1
    }
    if (start < piece.length) this.#carry(piece.subarray(start))
  }

  /** Hands over a last line that has no line feed. */
  end(onLine: (line: Line) => void): void {
    if (this.#carriedBytes > 0) this.#finish(Buffer.alloc(0), onLine)
  }

  #carry(rest: Buffer): void {
    this.#carriedBytes += rest.length
    if (this.#carriedBytes > this.#lineBytesMax + byteOrderMark.length) this.#carried = []
    else this.#carried.push(rest)
  }

  #finish(rest: Buffer, onLine: (line: Line) => void): void {
    let length = this.#carriedBytes + rest.length
    let bytes: Buffer | undefined
    if (this.#carriedBytes === 0) bytes = rest
    else if (length <= this.#lineBytesMax + byteOrderMark.length) bytes = Buffer.concat([...this.#carried, rest])
    this.#carried = []
    this.#carriedBytes = 0
    let offset = this.#offset
    this.#offset += length
    if (offset === 0 && bytes?.subarray(0, 3).equals(byteOrderMark)) {
      bytes = bytes.subarray(3)
      offset = 3
      length -= 3
    }
    onLine({ number: this.#number++, offset, length, bytes: length > this.#lineBytesMax ? undefined : bytes })
  }
}

/** True for a line of nothing but JSON white space. */
export function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09)
}
