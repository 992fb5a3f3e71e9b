import type { Lease, OutboundMessage } from '@forebay/queue-port'

/** Our attributes beside the sender's. */
const idName = 'forebay-id'
const dueName = 'forebay-due'
const deadCodeName = 'forebay-dead-code'
const deadDetailName = 'forebay-dead-detail'

/** Pub/Sub's limits on an attribute, and what a message costs beside data and attributes. */
const keyBytesMax = 256
const valueBytesMax = 1_024
const overheadBytes = 64

/** A message in Pub/Sub's form, with its size in a request. */
export interface PackedMessage {
  readonly bytes: number
  readonly data: Uint8Array
  readonly attributes: Record<string, string>
}

/** What Pub/Sub hands out, as far as it matters here. */
export interface ReceivedMessage {
  readonly ackId?: string | null
  readonly deliveryAttempt?: number | null
  readonly message?: {
    readonly data?: Uint8Array | string | null
    readonly attributes?: Readonly<Record<string, string>> | null
    readonly messageId?: string | null
    readonly publishTime?: { readonly seconds?: unknown; readonly nanos?: number | null } | null
  } | null
}

/** Packs a message. Pub/Sub knows no delay: a delayed one says when it is due, and its consumer holds it until then. */
export function pack(item: OutboundMessage, now: number): PackedMessage {
  const due = (item.delayMs ?? 0) > 0 ? { [dueName]: String(now + (item.delayMs ?? 0)) } : {}
  const attributes = { ...item.attributes, [idName]: item.id, ...due }
  let bytes = item.body.byteLength + overheadBytes
  for (const [key, value] of Object.entries(attributes)) {
    const [keyBytes, valueBytes] = [Buffer.byteLength(key), Buffer.byteLength(value)]
    // Such a message must fail by itself, not with its batch.
    if (keyBytes > keyBytesMax || valueBytes > valueBytesMax) bytes = Number.POSITIVE_INFINITY
    bytes += keyBytes + valueBytes
  }
  return { bytes, data: item.body, attributes }
}

/** A received message, and when it is due; one that we did not send keeps its attributes as they are. */
export function unpack(received: ReceivedMessage, leaseUntil: number): { lease: Lease; dueAt: number } {
  const { attributes = {}, data, messageId, publishTime } = received.message ?? {}
  const { [idName]: id, [dueName]: due, ...rest } = attributes ?? {}
  const lease = {
    id: id ?? messageId ?? '',
    body: bytesOf(data),
    attributes: rest,
    // Told only where the subscription has a dead-letter policy.
    attempt: Math.max(1, received.deliveryAttempt ?? 0),
    enqueuedAt: Number(publishTime?.seconds ?? 0) * 1_000 + Math.floor((publishTime?.nanos ?? 0) / 1_000_000),
    leaseUntil,
  }
  return { lease, dueAt: Number(due) || 0 }
}

/** A copy of a received message for the dead-letter topic, with its reason. */
export function deadCopy(received: ReceivedMessage, reason: { code: string; detail?: string }) {
  const detail = reason.detail ? { [deadDetailName]: reason.detail.slice(0, valueBytesMax / 4) } : {}
  const { attributes, data } = redrivenCopy(received)
  return { data, attributes: { ...attributes, [deadCodeName]: reason.code, ...detail } }
}

/** A copy of a received message for its queue: due now, and without a reason. */
export function redrivenCopy(received: ReceivedMessage) {
  const {
    [dueName]: _due,
    [deadCodeName]: _code,
    [deadDetailName]: _detail,
    ...attributes
  } = received.message?.attributes ?? {}
  return { data: bytesOf(received.message?.data), attributes }
}

function bytesOf(data: Uint8Array | string | null | undefined): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data, 'base64') : (data ?? new Uint8Array())
}
