import { findMembers } from '@forebay/plan'

const openBrace = 0x7b
const closeBrace = 0x7d

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
  const own = findMembers(body, names)
  const added = own ? names.filter((name) => members[name] !== undefined && !own[name]) : []
  if (added.length === 0) return { body, added }
  const end = body.lastIndexOf(closeBrace)
  const text = added.map((name) => `${JSON.stringify(name)}:${JSON.stringify(members[name])}`).join(',')
  const insert = Buffer.from(isEmptyUpTo(body, end) ? text : `,${text}`)
  return { body: Buffer.concat([body.subarray(0, end), insert, body.subarray(end)]), added }
}

/** Whether nothing but space stands between the opening brace and `end`. */
function isEmptyUpTo(body: Buffer, end: number): boolean {
  let at = end - 1
  while (at >= 0 && (body[at] === 0x20 || body[at] === 0x0a || body[at] === 0x0d || body[at] === 0x09)) at--
  return body[at] === openBrace
}
