/** Watches the first bytes of a file go by, to tell whether it looks like JSONL. */
export interface FirstLine {
  see(piece: Uint8Array): void
  /** True when the first byte that is no white space (nor a byte order mark) opens a JSON object. */
  opensAnObject(): boolean
}

const openBrace = 0x7b
const blanks = new Set([0x20, 0x09, 0x0a, 0x0d, 0xef, 0xbb, 0xbf])

/** A watcher that keeps one byte, whatever the file's size. */
export function watchFirstLine(): FirstLine {
  let first: number | undefined
  return {
    see: (piece) => {
      first ??= piece.find((byte) => !blanks.has(byte))
    },
    opensAnObject: () => first === openBrace,
  }
}
