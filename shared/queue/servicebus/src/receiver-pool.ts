import type { ServiceBusReceivedMessage, ServiceBusReceiver } from '@azure/service-bus'

/** How long a receive goes on after its first message, for those right behind it; the SDK's own is a second. */
const afterFirstMs = 10

/** A locked message with the receiver that can settle it. */
export interface Received {
  readonly receiver: ServiceBusReceiver
  readonly message: ServiceBusReceivedMessage
}

/** Receivers on one queue, one per receive under way: the SDK's receiver hangs when asked twice at once. */
export class ReceiverPool {
  readonly #open: () => ServiceBusReceiver
  readonly #all = new Set<ServiceBusReceiver>()
  readonly #idle: ServiceBusReceiver[] = []

  constructor(options: { open: () => ServiceBusReceiver }) {
    this.#open = options.open
  }

  /** Locks up to `max` messages, waiting up to `waitMs` for the first. */
  async receive(max: number, waitMs: number): Promise<Received[]> {
    const receiver = this.#idle.pop() ?? this.#open()
    this.#all.add(receiver)
    // The second is an option that the SDK takes and does not document.
    const options = { maxWaitTimeInMs: waitMs, maxTimeAfterFirstMessageInMs: afterFirstMs }
    try {
      const messages = await receiver.receiveMessages(max, options)
      return messages.map((message) => ({ receiver, message }))
    } finally {
      if (receiver.isClosed) this.#all.delete(receiver)
      else this.#idle.push(receiver)
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#all].map((receiver) => receiver.close()))
  }
}
