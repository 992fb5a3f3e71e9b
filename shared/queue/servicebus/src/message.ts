import type { ServiceBusMessage, ServiceBusReceivedMessage } from '@azure/service-bus'
import type { Lease, OutboundMessage } from '@forebay/queue-port'

/** Our application properties beside the sender's. */
const idName = 'forebay-id'
/** Attempts used up by earlier copies of the message. */
const spentName = 'forebay-spent'
/** When the first copy was sent. */
const enqueuedAtName = 'forebay-enqueued-at'
const ours = new Set([idName, spentName, enqueuedAtName])
/** What Service Bus adds to a dead message. */
const deadNames = new Set(['DeadLetterReason', 'DeadLetterErrorDescription'])

const messageIdMax = 128
/** What a message costs in a batch beside body, id and properties, at most. */
const overheadBytes = 384

/** A message in the SDK's form, with its size in a batch. */
export interface PackedMessage {
  readonly bytes: number
  readonly message: ServiceBusMessage
}

/** Packs a message; Service Bus itself holds a delayed one back. */
export function pack(item: OutboundMessage, now: number): PackedMessage {
  const properties = { ...item.attributes, [idName]: item.id }
  let bytes = item.body.byteLength + overheadBytes
  for (const [key, value] of Object.entries(properties)) bytes += Buffer.byteLength(key) + Buffer.byteLength(value) + 10
  return {
    bytes,
    message: {
      body: Buffer.from(item.body),
      messageId: item.id.slice(0, messageIdMax),
      applicationProperties: properties,
      ...((item.delayMs ?? 0) > 0 ? { scheduledEnqueueTimeUtc: new Date(now + (item.delayMs ?? 0)) } : {}),
    },
  }
}

/** A received message; one that we did not send keeps its properties, and its body if that is bytes. */
export function unpack(message: ServiceBusReceivedMessage, leaseUntil: number): Lease {
  const properties = Object.entries(message.applicationProperties ?? {})
  return {
    id: String(property(message, idName) ?? message.messageId ?? message.sequenceNumber ?? ''),
    body: bytesOf(message.body),
    attributes: Object.fromEntries(
      properties.filter(([name]) => !ours.has(name)).map(([name, value]) => [name, String(value)]),
    ),
    attempt: attemptOf(message),
    enqueuedAt: enqueuedAtOf(message),
    leaseUntil,
  }
}

/** A copy to be delivered later as the attempt after this one. */
export function laterCopy(message: ServiceBusReceivedMessage, at: number): ServiceBusMessage {
  return {
    ...copy(message, { [spentName]: attemptOf(message), [enqueuedAtName]: enqueuedAtOf(message) }),
    scheduledEnqueueTimeUtc: new Date(at),
  }
}

/** A copy of a dead message as a first attempt. */
export function redrivenCopy(message: ServiceBusReceivedMessage): ServiceBusMessage {
  return copy(message, { [spentName]: 0 })
}

function copy(message: ServiceBusReceivedMessage, changed: Record<string, number>): ServiceBusMessage {
  const kept = Object.entries(message.applicationProperties ?? {}).filter(([name]) => !deadNames.has(name))
  const { messageId } = message
  return {
    body: message.body,
    // The SDK keeps books by it, and fails on a message without one.
    messageId: messageId ?? String(message.sequenceNumber),
    applicationProperties: { ...Object.fromEntries(kept), ...changed },
    ...(message.contentType === undefined ? {} : { contentType: message.contentType }),
  }
}

/** Service Bus counts what went wrong before: 0 on a first delivery. */
function attemptOf(message: ServiceBusReceivedMessage): number {
  return (Number(property(message, spentName)) || 0) + (message.deliveryCount ?? 0) + 1
}

function enqueuedAtOf(message: ServiceBusReceivedMessage): number {
  return Number(property(message, enqueuedAtName)) || (message.enqueuedTimeUtc?.getTime() ?? 0)
}

function property(message: ServiceBusReceivedMessage, name: string): unknown {
  return message.applicationProperties?.[name]
}

function bytesOf(body: unknown): Uint8Array {
  if (body instanceof Uint8Array) return body
  return Buffer.from(typeof body === 'string' ? body : (JSON.stringify(body) ?? ''))
}
