import type { OutboundMessage } from '@forebay/queue-port'

/**
 * A message as the fields of a stream's entry, in this order: the scripts find the attempts used so far by its place.
 * `i` id, `a` attributes as JSON, `t` when it was sent (milliseconds since the epoch), `n` attempts used, `b` body.
 */
export function fieldsOf(message: OutboundMessage, sentAt: number): (string | Buffer)[] {
  const { attributes, body, id } = message
  const texts = attributes && Object.keys(attributes).length > 0 ? JSON.stringify(attributes) : ''
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return ['i', id, 'a', texts, 't', `${sentAt}`, 'n', '0', 'b', bytes]
}

/** A message as it was read. */
export interface Entry {
  /** The stream's own id, new with each delivery but the first. */
  readonly entryId: string
  readonly id: string
  readonly body: Uint8Array
  readonly attributes: Readonly<Record<string, string>>
  /** Attempts used before this delivery. */
  readonly used: number
  readonly sentAt: number
}

/** The entries in the answer (RESP3) to XREADGROUP of one stream; null is what it answers when there are none. */
export function entriesIn(answer: unknown): Entry[] {
  const [, entries] = (answer ?? []) as [key: Buffer, entries: [id: Buffer, fields: Buffer[] | null][]]
  return (entries ?? []).flatMap(([id, fields]) => (fields ? [entryOf(id.toString(), fields)] : []))
}

function entryOf(entryId: string, fields: readonly Buffer[]): Entry {
  const [, id, , attributes, , sentAt, , used, , body] = fields
  return {
    entryId,
    id: String(id),
    attributes: attributes && attributes.length > 0 ? JSON.parse(attributes.toString()) : {},
    sentAt: Number(sentAt),
    used: Number(used),
    body: body ?? Buffer.alloc(0),
  }
}
