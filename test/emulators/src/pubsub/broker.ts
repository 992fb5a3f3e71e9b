import { type Clock, newId } from '@forebay/kernel'
import { status } from '@grpc/grpc-js'
import { type Delivery, Subscription } from './subscription.ts'

/** A refusal, with gRPC's status. */
export class PubsubError extends Error {
  readonly code: status
  constructor(code: status, message: string) {
    super(message)
    this.code = code
  }
}

interface SubscriptionRequest {
  readonly name: string
  readonly topic: string
  readonly ackDeadlineSeconds: number
  readonly deadLetterPolicy: { readonly deadLetterTopic: string; readonly maxDeliveryAttempts: number } | null
}

interface PublishRequest {
  readonly topic: string
  readonly messages: readonly { readonly data: Buffer; readonly attributes: Readonly<Record<string, string>> }[]
}

const requestBytesMax = 10_000_000

/** Topics and subscriptions, with the documented limits. */
export class PubsubBroker {
  readonly #clock: Clock
  readonly #topics = new Map<string, Set<Subscription>>()
  readonly #subscriptions = new Map<string, Subscription>()

  constructor(options: { clock: Clock }) {
    this.#clock = options.clock
  }

  createTopic(name: string): void {
    if (this.#topics.has(name)) throw new PubsubError(status.ALREADY_EXISTS, `Topic already exists: ${name}`)
    checkName(name)
    this.#topics.set(name, new Set())
  }

  topic(name: string): Set<Subscription> {
    const topic = this.#topics.get(name)
    if (!topic) throw new PubsubError(status.NOT_FOUND, `Resource not found (resource=${name}).`)
    return topic
  }

  createSubscription(request: SubscriptionRequest): void {
    const { deadLetterPolicy: policy, name, topic } = request
    if (this.#subscriptions.has(name)) throw new PubsubError(status.ALREADY_EXISTS, `Already exists: ${name}`)
    checkName(name)
    const subscriptions = this.topic(topic)
    const ackDeadlineSeconds = request.ackDeadlineSeconds || 10
    inRange('ack_deadline_seconds', ackDeadlineSeconds, 10, 600)
    if (policy) inRange('max_delivery_attempts', policy.maxDeliveryAttempts, 5, 100)
    const deadLetter = policy ? { topic: policy.deadLetterTopic, attemptsMax: policy.maxDeliveryAttempts } : undefined
    const subscription = new Subscription({
      settings: { name, topic, ackDeadlineSeconds, deadLetter },
      clock: this.#clock,
      onDead: (deadTopic, message) => {
        for (const target of this.#topics.get(deadTopic) ?? []) target.add(message)
      },
    })
    subscriptions.add(subscription)
    this.#subscriptions.set(name, subscription)
  }

  subscription(name: string): Subscription {
    const subscription = this.#subscriptions.get(name)
    if (!subscription) throw new PubsubError(status.NOT_FOUND, `Resource not found (resource=${name}).`)
    return subscription
  }

  /** By the last part of its name, as Cloud Monitoring labels it. */
  undelivered(subscriptionId: string): number | undefined {
    const found = [...this.#subscriptions].find(([name]) => name.endsWith(`/subscriptions/${subscriptionId}`))
    return found?.[1].undelivered
  }

  publish({ messages, topic }: PublishRequest): string[] {
    const subscriptions = this.topic(topic)
    inRange('messages', messages.length, 1, 1_000)
    let bytes = 0
    for (const { attributes, data } of messages) {
      const pairs = Object.entries(attributes)
      if (data.length === 0 && pairs.length === 0) throw invalid('a message must have data or an attribute')
      inRange('attributes', pairs.length, 0, 100)
      bytes += data.length
      for (const [key, value] of pairs) {
        inRange(`bytes of attribute key ${key}`, Buffer.byteLength(key), 1, 256)
        inRange(`bytes of attribute ${key}`, Buffer.byteLength(value), 0, 1_024)
        bytes += Buffer.byteLength(key) + Buffer.byteLength(value)
      }
    }
    inRange('bytes of the request', bytes, 0, requestBytesMax)
    const publishedAt = this.#clock.now()
    return messages.map(({ attributes, data }) => {
      const messageId = newId('', publishedAt)
      for (const subscription of subscriptions) subscription.add({ data, attributes, messageId, publishedAt })
      return messageId
    })
  }

  pull(subscription: string, max: number, waitMs: number, signal: AbortSignal): Promise<Delivery[]> {
    inRange('max_messages', max, 1, 1_000)
    return this.subscription(subscription).pull(max, waitMs, signal)
  }

  modify(subscription: string, ackIds: readonly string[], seconds: number): void {
    inRange('ack_deadline_seconds', seconds, 0, 600)
    this.subscription(subscription).modify(ackIds, seconds)
  }

  stop(): void {
    for (const subscription of this.#subscriptions.values()) subscription.stop()
  }
}

function inRange(what: string, value: number, min: number, max: number): void {
  if (value < min || value > max) throw invalid(`${what} must be from ${min} to ${max}, was ${value}`)
}

function checkName(name: string): void {
  const id = name.split('/').at(-1) ?? ''
  if (!/^(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}$/.test(id)) throw invalid(`invalid resource name ${name}`)
}

function invalid(message: string): PubsubError {
  return new PubsubError(status.INVALID_ARGUMENT, message)
}
