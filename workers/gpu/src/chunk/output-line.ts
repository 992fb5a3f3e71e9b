/** What is wrong with an answer that the engine is satisfied with. */
export interface LineError {
  readonly code: string
  readonly message: string
}

const lineFeed = 0x0a
const carriageReturn = 0x0d
const space = 0x20
const endOfGood = '},"error":null}\n'

/**
 * A line of the output or error file, with its line feed: the engine's body byte for byte, except that line breaks
 * between its tokens become spaces (within JSON strings there can be none), since a line must stay one line.
 */
export function outputLine(options: {
  /** Ours: it needs no escapes. */
  id: string
  customId: string
  status: number
  body: Buffer
  /** What is wrong with it all the same. */
  error?: LineError | undefined
}): Buffer {
  const { body, customId, error, id, status } = options
  const head = `{"id":"${id}","custom_id":${JSON.stringify(customId)},"response":{"status_code":${status},"request_id":"${id}","body":`
  const tail = error ? `},"error":${JSON.stringify(error)}}\n` : endOfGood
  // One piece of memory, written once: this is done for every request.
  const bodyAt = Buffer.byteLength(head)
  const line = Buffer.allocUnsafe(bodyAt + body.length + (error ? Buffer.byteLength(tail) : tail.length))
  line.write(head, 0)
  line.set(body, bodyAt)
  const bodyEnd = bodyAt + body.length
  line.write(tail, bodyEnd)
  for (const lineBreak of [lineFeed, carriageReturn]) {
    if (!body.includes(lineBreak)) continue
    for (let at = line.indexOf(lineBreak, bodyAt); at >= 0 && at < bodyEnd; at = line.indexOf(lineBreak, at + 1)) {
      line[at] = space
    }
  }
  return line
}
