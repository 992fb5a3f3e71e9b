import { ForebayError } from '@forebay/kernel'
import type { v1 } from '@google-cloud/pubsub'
import { grpcStatus, statusOf, toQueueError } from './errors.ts'
import type { ReceivedMessage } from './message.ts'
import type { PubsubNames } from './names.ts'

/** Most messages of one publish or pull, and most ack ids of one call that stay within its 512 KiB. */
export const callMessagesMax = 1_000
/** A subscription's own lease has these bounds; a single extension has only the upper one. */
const ackDeadlineSeconds = { min: 10, max: 600 }
/** A net under crash loops; the attempts a job has are counted above. The policy is also what makes Pub/Sub count. */
const deliveriesMax = 100

/** A failure of the connection is tried again, briefly; a refusal is not. */
const callOptions = {
  timeout: 10_000,
  retry: {
    retryCodes: [14],
    backoffSettings: {
      initialRetryDelayMillis: 100,
      retryDelayMultiplier: 2,
      maxRetryDelayMillis: 1_000,
      initialRpcTimeoutMillis: 5_000,
      rpcTimeoutMultiplier: 1,
      maxRpcTimeoutMillis: 5_000,
      totalTimeoutMillis: 5_000,
    },
  },
}

type Side = 'queue' | 'dead'

/** The SDK calls of one queue and its dead-letter queue, failures as the port's errors. */
export class PubsubCalls {
  readonly #name: string
  readonly #names: PubsubNames
  readonly #publisher: v1.PublisherClient
  readonly #subscriber: v1.SubscriberClient

  constructor(options: {
    name: string
    names: PubsubNames
    publisher: v1.PublisherClient
    subscriber: v1.SubscriberClient
  }) {
    this.#name = options.name
    this.#names = options.names
    this.#publisher = options.publisher
    this.#subscriber = options.subscriber
  }

  /**
   * Creates topics and subscriptions, which keep messages for Pub/Sub's usual week, or verifies that they are
   * there. Answers how long a pulled message is leased.
   */
  async ensure(leaseMs: number): Promise<number> {
    const { deadSubscription, deadTopic, subscription, topic } = this.#names
    await this.#ensureTopic(deadTopic)
    await this.#ensureSubscription(deadSubscription, deadTopic, {})
    await this.#ensureTopic(topic)
    const seconds = Math.min(ackDeadlineSeconds.max, Math.max(ackDeadlineSeconds.min, Math.ceil(leaseMs / 1_000)))
    return this.#ensureSubscription(subscription, topic, {
      ackDeadlineSeconds: seconds,
      deadLetterPolicy: { deadLetterTopic: deadTopic, maxDeliveryAttempts: deliveriesMax },
    })
  }

  async publish(
    side: Side,
    messages: readonly { data: Uint8Array; attributes: Record<string, string> }[],
  ): Promise<void> {
    const topic = side === 'queue' ? this.#names.topic : this.#names.deadTopic
    await this.#call(() => this.#publisher.publish({ topic, messages: [...messages] }, callOptions))
  }

  /** Waits up to `waitMs` for a first message. */
  async pull(side: Side, maxMessages: number, waitMs: number): Promise<readonly ReceivedMessage[]> {
    try {
      const request = { subscription: this.#subscription(side), maxMessages }
      const [response] = await this.#subscriber.pull(request, { timeout: waitMs, retry: { retryCodes: [] } })
      return response.receivedMessages ?? []
    } catch (err) {
      // The wait was in vain.
      if (statusOf(err) === grpcStatus.deadlineExceeded) return []
      throw toQueueError(err, this.#name)
    }
  }

  /** Pub/Sub answers well for messages that are no longer leased. */
  async acknowledge(side: Side, ackIds: readonly string[]): Promise<void> {
    const subscription = this.#subscription(side)
    await this.#call(() => this.#subscriber.acknowledge({ subscription, ackIds: [...ackIds] }, callOptions))
  }

  /** Makes leases last `seconds` from now; 0 ends them. */
  async setLease(ackIds: readonly string[], seconds: number): Promise<void> {
    const { subscription } = this.#names
    const request = { subscription, ackIds: [...ackIds], ackDeadlineSeconds: Math.min(seconds, ackDeadlineSeconds.max) }
    await this.#call(() => this.#subscriber.modifyAckDeadline(request, callOptions))
  }

  /** Drops what was published until then. */
  async dropUntil(side: Side, time: number): Promise<void> {
    const at = { seconds: Math.floor(time / 1_000), nanos: (time % 1_000) * 1_000_000 }
    await this.#call(() => this.#subscriber.seek({ subscription: this.#subscription(side), time: at }, callOptions))
  }

  #subscription(side: Side): string {
    return side === 'queue' ? this.#names.subscription : this.#names.deadSubscription
  }

  async #ensureTopic(name: string): Promise<void> {
    await this.#createOrGet(
      name,
      'pubsub.topics.create',
      () => this.#publisher.createTopic({ name }, callOptions),
      () => this.#publisher.getTopic({ topic: name }, callOptions),
    )
  }

  async #ensureSubscription(
    name: string,
    topic: string,
    settings: Parameters<v1.SubscriberClient['createSubscription']>[0],
  ): Promise<number> {
    // Without a policy of never, Pub/Sub deletes a subscription that was idle for a month.
    const request = { ...settings, name, topic, expirationPolicy: {} }
    const found = await this.#createOrGet(
      name,
      'pubsub.subscriptions.create',
      () => this.#subscriber.createSubscription(request, callOptions),
      () => this.#subscriber.getSubscription({ subscription: name }, callOptions),
    )
    return (found.ackDeadlineSeconds ?? ackDeadlineSeconds.min) * 1_000
  }

  /** Creates a thing, or gets it where it exists or may not be created. */
  async #createOrGet<R>(
    name: string,
    permission: string,
    create: () => Promise<readonly [R, ...unknown[]]>,
    get: () => Promise<readonly [R, ...unknown[]]>,
  ): Promise<R> {
    try {
      return (await create())[0]
    } catch (err) {
      const denied = statusOf(err) === grpcStatus.permissionDenied
      if (!denied && statusOf(err) !== grpcStatus.alreadyExists) throw toQueueError(err, this.#name)
      const [found] = await get().catch((missing: unknown) => {
        if (!denied) throw toQueueError(missing, this.#name)
        throw new ForebayError(
          'queue_denied',
          `"${name}" does not exist or may not be seen, and these credentials may not create it: allow ${permission}, or create it and allow ${permission.replace('create', 'get')}.`,
          { cause: err },
        )
      })
      return found
    }
  }

  async #call<R>(send: () => Promise<R>): Promise<R> {
    try {
      return await send()
    } catch (err) {
      throw toQueueError(err, this.#name)
    }
  }
}
