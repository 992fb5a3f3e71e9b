import type { Message, MessageAttributeValue, SendMessageBatchRequestEntry } from '@aws-sdk/client-sqs'
import type { Lease, OutboundMessage } from '@forebay/queue-port'

/** The one message attribute of ours: SQS takes ten at most, and no empty ones. */
const headerName = 'forebay'
const deadCodeName = 'forebay-dead-code'
const deadDetailName = 'forebay-dead-detail'
const attributesMax = 10

interface Header {
  readonly id: string
  readonly attributes?: Readonly<Record<string, string>>
  readonly base64?: true
}

/** A message in SQS's form, with its size as SQS counts it. */
export interface PackedMessage {
  readonly bytes: number
  readonly entry: Omit<SendMessageBatchRequestEntry, 'Id'>
}

/** What SQS takes as a body: at least one character, of those XML 1.0 allows. */
const legalText = /^[\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]+$/u
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Packs a message: text where SQS takes it as text, base64 otherwise. Delays are whole seconds there, rounded up. */
export function pack(item: OutboundMessage): PackedMessage {
  const { attributes, id } = item
  const text = asText(item.body)
  // SQS takes no empty body: "=" is base64 for one.
  const body = text ?? (Buffer.from(item.body).toString('base64') || '=')
  const rest = attributes && Object.keys(attributes).length > 0 ? { id, attributes } : { id }
  const header = JSON.stringify(text === undefined ? { ...rest, base64: true } : rest)
  return {
    bytes: Buffer.byteLength(body) + headerName.length + 'String'.length + Buffer.byteLength(header),
    entry: {
      MessageBody: body,
      MessageAttributes: { [headerName]: stringAttribute(header) },
      ...((item.delayMs ?? 0) > 0 ? { DelaySeconds: Math.ceil((item.delayMs ?? 0) / 1_000) } : {}),
      // SQS's fair queues: the group is a hint on a standard queue, and free of order.
      ...(item.fairnessKey && /^[\w!-/:-@[-`{-~]{1,128}$/.test(item.fairnessKey)
        ? { MessageGroupId: item.fairnessKey }
        : {}),
    },
  }
}

/** A received message; one that we did not send keeps its body as it is, for the job codec to judge. */
export function unpack(message: Message, leaseUntil: number): Lease {
  const header = readHeader(message)
  const body = message.Body ?? ''
  return {
    id: header?.id ?? message.MessageId ?? '',
    body: Buffer.from(body, header?.base64 ? 'base64' : 'utf8'),
    attributes: header ? (header.attributes ?? {}) : stringAttributes(message),
    attempt: Number(message.Attributes?.ApproximateReceiveCount ?? 1),
    enqueuedAt: Number(message.Attributes?.SentTimestamp ?? 0),
    leaseUntil,
  }
}

/** A copy of a received message for the dead-letter queue, the reason in attributes that a person can read there. */
export function deadCopy(message: Message, reason: { code: string; detail?: string }) {
  const entries = Object.entries(ownAttributes(message)).slice(0, attributesMax - 2)
  const attributes: Record<string, MessageAttributeValue> = Object.fromEntries(entries)
  attributes[deadCodeName] = stringAttribute(reason.code)
  if (reason.detail) attributes[deadDetailName] = stringAttribute(reason.detail.slice(0, 1_000))
  return { MessageBody: message.Body, MessageAttributes: attributes }
}

/** A copy of a dead message for its queue, without the reason. */
export function redrivenCopy(message: Message) {
  return { MessageBody: message.Body, MessageAttributes: ownAttributes(message) }
}

function ownAttributes(message: Message): Record<string, MessageAttributeValue> {
  const { [deadCodeName]: _code, [deadDetailName]: _detail, ...own } = message.MessageAttributes ?? {}
  return own
}

function stringAttribute(value: string): MessageAttributeValue {
  return { DataType: 'String', StringValue: value }
}

function stringAttributes(message: Message): Record<string, string> {
  return Object.fromEntries(
    Object.entries(message.MessageAttributes ?? {}).flatMap(([name, { StringValue: value }]) =>
      value === undefined ? [] : [[name, value]],
    ),
  )
}

function readHeader(message: Message): Header | undefined {
  try {
    const header: unknown = JSON.parse(message.MessageAttributes?.[headerName]?.StringValue ?? '')
    return isHeader(header) ? header : undefined
  } catch {
    return undefined
  }
}

function isHeader(value: unknown): value is Header {
  return typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string'
}

function asText(body: Uint8Array): string | undefined {
  try {
    const text = decoder.decode(body)
    return legalText.test(text) ? text : undefined
  } catch {
    return undefined
  }
}
