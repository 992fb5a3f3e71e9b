/** What is wrong with an answer that the engine is satisfied with. */
export interface LineError {
  readonly code: string
  readonly message: string
}

/**
 * A line of the output or error file, with its line feed: the engine's body byte for byte, except that line breaks
 * between its tokens become spaces (within JSON strings there can be none), since a line must stay one line.
 */
export function outputLine(options: {
  id: string
  customId: string
  status: number
  body: Buffer
  /** What is wrong with it all the same. */
  error?: LineError | undefined
}): Buffer {
  const { body, customId, id, status } = options
  const head = `{"id":${JSON.stringify(id)},"custom_id":${JSON.stringify(customId)},"response":{"status_code":${status},"request_id":${JSON.stringify(id)},"body":`
  const line = Buffer.concat([
    Buffer.from(head),
    body,
    Buffer.from(`},"error":${JSON.stringify(options.error ?? null)}}\n`),
  ])
  const end = line.length - 1
  for (const lineBreak of [0x0a, 0x0d]) {
    for (let at = line.indexOf(lineBreak); at >= 0 && at < end; at = line.indexOf(lineBreak, at + 1)) line[at] = 0x20
  }
  return line
}
