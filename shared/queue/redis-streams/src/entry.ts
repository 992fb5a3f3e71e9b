import type { OutboundMessage } from '@forebay/queue-port'

/**
 * A message as the one field of a stream's entry: its value is the body, its name is all else, so that Redis and its
 * clients handle two strings for each message and no more. The name is `<attempts used> <sent at> <attributes>`, then a
 * line end and the message's id; the time is in milliseconds since the epoch, attributes are JSON, or nothing. The
 * scripts change the number it starts with.
 */
export function fieldOf(message: OutboundMessage, sentAt: number): [name: string, body: Buffer] {
  const { attributes, body, id } = message
  const texts = attributes && hasSome(attributes) ? JSON.stringify(attributes) : ''
  const bytes = body instanceof Buffer ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return [`0 ${sentAt} ${texts}\n${id}`, bytes]
}

/** What an entry's fields say. */
export interface EntryContent {
  readonly id: string
  readonly body: Uint8Array
  readonly attributes: Readonly<Record<string, string>>
  /** Attempts used before this delivery. */
  readonly used: number
  readonly sentAt: number
}

/** Reads an entry's fields, names and values by turns. */
export function contentOf(fields: readonly Buffer[]): EntryContent {
  return fields.length >= earlierLength ? earlierContentOf(fields) : contentOfField(fields)
}

const noAttributes: Readonly<Record<string, string>> = Object.freeze({})
const noBody = Buffer.alloc(0)

function contentOfField([name = noBody, body = noBody]: readonly Buffer[]): EntryContent {
  const text = name.toString()
  const lineEnd = text.indexOf('\n')
  const sentAtFrom = text.indexOf(' ') + 1
  const attributesFrom = text.indexOf(' ', sentAtFrom) + 1
  return {
    id: text.slice(lineEnd + 1),
    body,
    attributes: attributesFrom === lineEnd ? noAttributes : JSON.parse(text.slice(attributesFrom, lineEnd)),
    used: Number(text.slice(0, sentAtFrom)),
    sentAt: Number(text.slice(sentAtFrom, attributesFrom)),
  }
}

/** Names and values of an entry that an earlier version added: `i` id, `a` attributes, `t` sent at, `n` attempts used, `b` body. */
const earlierLength = 10

function earlierContentOf(fields: readonly Buffer[]): EntryContent {
  const [, id, , attributes, , sentAt, , used, , body = noBody] = fields
  return {
    id: String(id),
    body,
    attributes: attributes && attributes.length > 0 ? JSON.parse(attributes.toString()) : noAttributes,
    used: Number(used),
    sentAt: Number(sentAt),
  }
}

function hasSome(attributes: object): boolean {
  for (const _ in attributes) return true
  return false
}
