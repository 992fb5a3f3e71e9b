import { findMembers } from '@forebay/plan'

const openBrace = 0x7b
const closeBrace = 0x7d
const comma = 0x2c
const unicodeEscape = Buffer.from('\\u')
// Names as they stand in a body. They come from our own code, so there are few.
const quotedNames = new Map<string, Buffer>()

/**
 * The body with these members before its closing brace, every byte of it else as it was. A member that the body has
 * itself, whatever its value, is left out; so is each one whose value is undefined. `added` names those put in. A body
 * that is no JSON object is answered as it is: its fault is the engine's to tell.
 */
export function spliceMembers<Name extends string>(
  body: Buffer,
  members: Readonly<Record<Name, string | number | undefined>>,
): { body: Buffer; added: Name[] } {
  const names = Object.keys(members) as Name[]
  let added = names.filter((name) => members[name] !== undefined)
  if (!surelyHasNone(body, added)) {
    const own = findMembers(body, added)
    added = own ? added.filter((name) => !own[name]) : []
  }
  if (added.length === 0) return { body, added }
  const end = body.lastIndexOf(closeBrace)
  const text = added.map((name) => `"${name}":${JSON.stringify(members[name])}`).join(',')
  const insert = isEmptyUpTo(body, end) ? text : `,${text}`
  const length = Buffer.byteLength(insert)
  const spliced = Buffer.allocUnsafe(body.length + length)
  body.copy(spliced, 0, 0, end)
  spliced.write(insert, end)
  body.copy(spliced, end + length, end)
  return { body: spliced, added }
}

/**
 * Whether the body looks like an object and has none of these names anywhere: a search for a few bytes, where to read
 * its members costs time for each byte of its prompt.
 */
function surelyHasNone(body: Buffer, names: readonly string[]): boolean {
  if (body[0] !== openBrace || body[body.length - 1] !== closeBrace) return false
  if (body[lastBefore(body, body.length - 1)] === comma || body.includes(unicodeEscape)) return false
  return names.every((name) => {
    const quoted = quotedNames.get(name) ?? Buffer.from(`"${name}"`)
    quotedNames.set(name, quoted)
    return !body.includes(quoted)
  })
}

/** Whether nothing but space stands between the opening brace and `end`. */
function isEmptyUpTo(body: Buffer, end: number): boolean {
  return body[lastBefore(body, end)] === openBrace
}

/** The place of the last byte before `end` that is no space. */
function lastBefore(body: Buffer, end: number): number {
  let at = end - 1
  while (at >= 0 && (body[at] === 0x20 || body[at] === 0x0a || body[at] === 0x0d || body[at] === 0x09)) at--
  return at
}
