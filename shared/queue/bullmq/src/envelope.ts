import type { OutboundMessage } from '@forebay/queue-port'

/** What a BullMQ job holds of a message. Short names: it is stored per job. */
export interface Envelope {
  readonly id: string
  /** The body as text, when it is UTF-8 that every datastore can hold as text. */
  readonly text?: string
  /** The body in base64 otherwise. */
  readonly base64?: string
  readonly attributes?: Readonly<Record<string, string>>
  /** Attempts used before the message was redriven, to be taken off the broker's count. */
  readonly spent?: number
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Packs a message; JSON bodies stay readable in the datastore. */
export function pack(message: OutboundMessage): Envelope {
  const { attributes, body, id } = message
  const rest = attributes && Object.keys(attributes).length > 0 ? { id, attributes } : { id }
  try {
    const text = decoder.decode(body)
    // Postgres cannot hold a NUL in text.
    if (!text.includes('\0')) return { ...rest, text }
  } catch {
    // Not UTF-8.
  }
  return { ...rest, base64: Buffer.from(body).toString('base64') }
}

/** The body as it was sent. */
export function unpackBody(envelope: Envelope): Uint8Array {
  return Buffer.from(envelope.text ?? envelope.base64 ?? '', envelope.text === undefined ? 'base64' : 'utf8')
}
