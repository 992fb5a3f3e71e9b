/** Where a value lies in a buffer: [start, end). */
export interface Span {
  readonly start: number
  readonly end: number
}

const quote = 0x22
const backslash = 0x5c

/**
 * Finds the values of the named members of the object that a line of JSON holds, as places in the line, so that their
 * bytes can be passed on as they are. The last of duplicate members wins, as in JSON.parse. Nested values are skipped
 * by their brackets and strings alone; undefined when the line is no object.
 */
export function findMembers<Name extends string>(
  line: Buffer,
  names: readonly Name[],
): Partial<Record<Name, Span>> | undefined {
  const found: Partial<Record<Name, Span>> = {}
  // A byte order mark may stand before the first line of a file.
  let at = skipSpace(line, line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf ? 3 : 0)
  if (line[at] !== 0x7b) return undefined
  at = skipSpace(line, at + 1)
  if (line[at] === 0x7d) return found
  for (;;) {
    if (line[at] !== quote) return undefined
    const keyEnd = endOfString(line, at)
    if (keyEnd === undefined) return undefined
    const key = keyOf(line, at, keyEnd)
    if (key === undefined) return undefined
    at = skipSpace(line, keyEnd)
    if (line[at] !== 0x3a) return undefined
    const start = skipSpace(line, at + 1)
    const end = endOfValue(line, start)
    if (end === undefined) return undefined
    const name = names.find((wanted) => wanted === key)
    if (name !== undefined) found[name] = { start, end }
    at = skipSpace(line, end)
    if (line[at] === 0x7d) return found
    if (line[at] !== 0x2c) return undefined
    at = skipSpace(line, at + 1)
  }
}

function keyOf(line: Buffer, start: number, end: number): string | undefined {
  const raw = line.toString('utf8', start + 1, end - 1)
  if (!raw.includes('\\')) return raw
  try {
    return String(JSON.parse(`"${raw}"`))
  } catch {
    return undefined
  }
}

function skipSpace(line: Buffer, from: number): number {
  let at = from
  while (line[at] === 0x20 || line[at] === 0x0a || line[at] === 0x0d || line[at] === 0x09) at++
  return at
}

/** The place after a string's closing quote. */
function endOfString(line: Buffer, open: number): number | undefined {
  for (let from = open + 1; ; ) {
    const close = line.indexOf(quote, from)
    if (close < 0) return undefined
    let slashes = 0
    while (line[close - 1 - slashes] === backslash) slashes++
    if (slashes % 2 === 0) return close + 1
    from = close + 1
  }
}

function endOfValue(line: Buffer, start: number): number | undefined {
  let depth = 0
  for (let at = start; at < line.length; ) {
    const byte = line[at]
    if (byte === quote) {
      const end = endOfString(line, at)
      if (end === undefined) return undefined
      at = end
      if (depth === 0) return at
    } else if (byte === 0x7b || byte === 0x5b) {
      depth++
      at++
    } else if (byte === 0x7d || byte === 0x5d) {
      if (depth === 0) return at > start ? trimmed(line, start, at) : undefined
      at++
      if (--depth === 0) return at
    } else if (byte === 0x2c && depth === 0) {
      return at > start ? trimmed(line, start, at) : undefined
    } else at++
  }
  return undefined
}

// The end of a number or literal, without the space after it.
function trimmed(line: Buffer, start: number, end: number): number {
  let at = end
  while (at > start && skipSpace(line, at - 1) !== at - 1) at--
  return at
}
