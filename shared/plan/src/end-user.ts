import { createHmac } from 'node:crypto'
import { findMembers } from './json-members.ts'

const hashBytes = 16
const names = ['safety_identifier', 'user'] as const

/**
 * Whom a request is sent for, as its body names them: `safety_identifier`, or the older `user` where that is not there.
 * Undefined when it names nobody.
 */
export function endUserOf(fields: object): string | undefined {
  for (const name of names) {
    const value: unknown = (fields as Partial<Record<string, unknown>>)[name]
    if (typeof value === 'string' && value !== '') return value
  }
  return undefined
}

/** The same, of the bytes of a body. Most name nobody, and are told by their bytes alone. */
export function endUserIn(body: Buffer): string | undefined {
  if (!names.some((name) => hasMember(body, name))) return undefined
  const found = findMembers(body, names)
  return endUserOf(Object.fromEntries(names.map((name) => [name, valueAt(body, found?.[name])])))
}

/** What stands for an end user of a tenant, in hex: a hash by the tenant's own key (hex), so that it tells nothing without it. */
export function endUserHash(key: string, endUser: string): string {
  return createHmac('sha256', Buffer.from(key, 'hex')).update(endUser).digest().subarray(0, hashBytes).toString('hex')
}

/** Whether the name stands anywhere as that of a member. A chat's `"role": "user"` does not. */
function hasMember(body: Buffer, name: string): boolean {
  const quoted = `"${name}"`
  for (let at = body.indexOf(quoted); at !== -1; at = body.indexOf(quoted, at + 1)) {
    let next = at + quoted.length
    while (body[next] === 0x20 || body[next] === 0x09 || body[next] === 0x0a || body[next] === 0x0d) next++
    if (body[next] === 0x3a) return true
  }
  // A name may be written with escapes.
  return body.includes('\\u00')
}

function valueAt(body: Buffer, span: { start: number; end: number } | undefined): unknown {
  try {
    return span && JSON.parse(body.toString('utf8', span.start, span.end))
  } catch {
    return undefined
  }
}
