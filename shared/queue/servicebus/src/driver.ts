import type { ServiceBusAdministrationClient, ServiceBusClient, ServiceBusSender } from '@azure/service-bus'
import { type Clock, eitherSignal, ForebayError } from '@forebay/kernel'
import {
  type DriverCapabilities,
  type ItemResult,
  type Lease,
  LeaseBook,
  leaseLost,
  OpenPolls,
  type OutboundMessage,
  type QueueDepth,
  type QueueDriver,
  queueClosed,
  sendInBatches,
} from '@forebay/queue-port'
import { toQueueError } from './errors.ts'
import { laterCopy, pack, redrivenCopy, unpack } from './message.ts'
import { purgeQueue } from './purge-queue.ts'
import { countQueue, ensureQueue } from './queue-admin.ts'
import { type Received, ReceiverPool } from './receiver-pool.ts'

const capabilities: DriverCapabilities = {
  // The Standard tier takes 256 KB, properties included.
  bodyBytesMax: 192 * 1024,
  delayMsMax: 365 * 24 * 3_600_000,
  leaseMsMax: 300_000,
  leaseIsFixed: true,
  reportsLostLease: true,
  uncountedNack: false,
  depth: 'approximate',
}
const limits = { itemsMax: 500, bytesMax: 250_000, width: 2 }
const receiveMax = 500
const pollMsMin = 250
const pollMsMax = 20_000
/** A poll ends by itself; how much later than asked it may. */
const pollSlackMs = 5_000
/** How long `close` lets open polls run on, to give back what they bring. */
const closeGraceMs = 1_000
const redriveMax = 100
/** Heartbeats are ours: the SDK's go by message id, which a foreign message may lack and a retry's copy shares. */
const receiverSettings = { maxAutoLockRenewalDurationInMs: 0, skipParsingBodyAsJson: true }

/**
 * A peek-lock queue on Service Bus with its built-in dead-letter queue. Locks have the queue's own length, which
 * `ensure` makes, or checks to be, no shorter than our leases. Giving back with a delay sends a copy, then completes.
 */
export class ServicebusQueue implements QueueDriver {
  readonly name: string
  readonly capabilities = capabilities
  readonly #entity: string
  readonly #client: ServiceBusClient
  readonly #admin: ServiceBusAdministrationClient
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #book: LeaseBook<Received>
  readonly #polls: OpenPolls
  readonly #receivers: ReceiverPool
  #sender: ServiceBusSender | undefined
  readonly #closing = new AbortController()

  constructor(options: {
    name: string
    /** The queue's name on Service Bus. */
    entity: string
    client: ServiceBusClient
    admin: ServiceBusAdministrationClient
    clock: Clock
    leaseMs: number
  }) {
    this.name = options.name
    this.#entity = options.entity
    this.#client = options.client
    this.#admin = options.admin
    this.#clock = options.clock
    this.#leaseMs = Math.min(options.leaseMs, capabilities.leaseMsMax)
    this.#book = new LeaseBook(options)
    this.#polls = new OpenPolls({ clock: options.clock, giveBack: (leases) => this.#abandon(leases) })
    this.#receivers = new ReceiverPool({ open: () => this.#client.createReceiver(this.#entity, receiverSettings) })
  }

  /** Where creating is denied, only looks whether the queue is there: its settings need the same right to be read. */
  async ensure(): Promise<void> {
    const options = { name: this.#entity, leaseMs: this.#leaseMs }
    const error = await this.#call(() => ensureQueue(this.#admin, options)).then(
      () => undefined,
      (err: ForebayError) => err,
    )
    if (error?.code !== 'queue_denied') {
      if (error) throw error
      return
    }
    const receiver = this.#client.createReceiver(this.#entity)
    try {
      await this.#call(() => receiver.peekMessages(1))
    } catch (err) {
      throw new ForebayError(
        'queue_denied',
        `Service Bus queue "${this.#entity}" does not exist or may not be seen, and these credentials may not create it: give them Azure Service Bus Data Owner, or create it and give them Data Sender and Receiver.`,
        { cause: err },
      )
    } finally {
      await receiver.close()
    }
  }

  send(items: readonly OutboundMessage[]): Promise<readonly ItemResult[]> {
    const now = this.#clock.now()
    return sendInBatches({
      items,
      bodyBytesMax: capabilities.bodyBytesMax,
      limits,
      pack: (item) => pack(item, now),
      toError: (err) => toQueueError(err, this.name),
      sendBatch: async (batch) => {
        await this.#call(() => this.#openSender().sendMessages(batch.map(({ message }) => message)))
        return []
      },
    })
  }

  /** Every lease has the length that `ensure` saw to, whatever is asked. */
  async receive(options: { max: number; waitMs: number; leaseMs: number; signal?: AbortSignal }) {
    const max = Math.min(options.max, receiveMax)
    const leaseMs = this.#leaseMs
    const { release, signal } = eitherSignal(this.#closing.signal, ...(options.signal ? [options.signal] : []))
    const deadline = this.#clock.now() + options.waitMs
    try {
      while (max > 0 && !signal.aborted) {
        const pollMs = Math.min(pollMsMax, Math.max(pollMsMin, deadline - this.#clock.now()))
        const start = () => this.#poll(max, pollMs)
        const leases = await this.#polls.wait({ max, leaseMs, waitMs: pollMs + pollSlackMs, signal, start })
        if (leases.length > 0 || this.#clock.now() >= deadline) return leases
      }
      return []
    } finally {
      release()
    }
  }

  ack(leases: readonly Lease[]): Promise<readonly ItemResult[]> {
    return Promise.all(
      leases.map(async (lease): Promise<ItemResult> => {
        try {
          await this.#settle(lease, ({ message, receiver }) => receiver.completeMessage(message))
          return { id: lease.id, ok: true }
        } catch (err) {
          return { id: lease.id, ok: false, error: toQueueError(err, this.name) }
        }
      }),
    )
  }

  async nack(lease: Lease, options: { delayMs: number; counted?: boolean }): Promise<void> {
    const { delayMs } = options
    await this.#settle(lease, async ({ message, receiver }) => {
      if (delayMs <= 0) return receiver.abandonMessage(message)
      // The lock may be gone: then the message will be delivered again, and a copy would be one too many.
      await receiver.renewMessageLock(message)
      await this.#openSender().sendMessages(laterCopy(message, this.#clock.now() + delayMs))
      await receiver.completeMessage(message)
    })
  }

  async extend(lease: Lease, _leaseMs: number): Promise<number> {
    const from = this.#clock.now()
    await this.#withHeld(lease, ({ message, receiver }) => receiver.renewMessageLock(message))
    return this.#book.extend(lease, from, this.#leaseMs)
  }

  async deadLetter(lease: Lease, reason: { code: string; detail?: string }): Promise<void> {
    const options = { deadLetterReason: reason.code, deadLetterErrorDescription: reason.detail?.slice(0, 1_000) ?? '' }
    await this.#settle(lease, ({ message, receiver }) => receiver.deadLetterMessage(message, options))
  }

  /** Needs the right to manage, and costs the broker: ask seldom. What other processes hold is in `visible`. */
  async depth(): Promise<QueueDepth> {
    const asOf = this.#clock.now()
    const { active, dead, scheduled } = await this.#call(() => countQueue(this.#admin, this.#entity))
    const inFlight = Math.min(active, this.#book.count())
    return { visible: active - inFlight, inFlight, delayed: scheduled, dead, asOf }
  }

  async redrive(options: { max: number }): Promise<{ moved: number }> {
    const settings = { ...receiverSettings, subQueueType: 'deadLetter' } as const
    const receiver = this.#client.createReceiver(this.#entity, settings)
    let moved = 0
    try {
      while (moved < options.max) {
        const max = Math.min(redriveMax, options.max - moved)
        const dead = await this.#call(() => receiver.receiveMessages(max, { maxWaitTimeInMs: pollMsMin }))
        if (dead.length === 0) break
        for (const message of dead) {
          await this.#call(() => this.#openSender().sendMessages(redrivenCopy(message)))
          await this.#call(() => receiver.completeMessage(message))
          moved++
        }
      }
    } finally {
      await receiver.close()
    }
    return { moved }
  }

  async purge(): Promise<void> {
    await this.#call(() => purgeQueue(this.#client, this.#entity))
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    await this.#polls.close(closeGraceMs)
    await this.#receivers.close()
    await this.#sender?.close()
  }

  async #poll(max: number, pollMs: number): Promise<readonly Lease[]> {
    const received = await this.#call(() => this.#receivers.receive(max, pollMs))
    const leaseUntil = this.#clock.now() + this.#leaseMs
    return received.map((each) => this.#book.hold(unpack(each.message, leaseUntil), each))
  }

  async #abandon(leases: readonly Lease[]): Promise<void> {
    const held = leases.map((lease) => this.#book.handleOf(lease))
    for (const lease of leases) this.#book.release(lease)
    await Promise.allSettled(held.map(({ message, receiver }) => receiver.abandonMessage(message)))
  }

  async #settle(lease: Lease, act: (received: Received) => Promise<unknown>): Promise<void> {
    await this.#withHeld(lease, act)
    this.#book.release(lease)
  }

  async #withHeld<R>(lease: Lease, act: (received: Received) => Promise<R>): Promise<R> {
    const received = this.#book.handleOf(lease)
    try {
      return await this.#call(() => act(received))
    } catch (err) {
      const error = toQueueError(err, this.name)
      if (error.code !== 'lease_lost') throw error
      this.#book.release(lease)
      throw leaseLost(lease.id, error.cause)
    }
  }

  #openSender(): ServiceBusSender {
    this.#sender ??= this.#client.createSender(this.#entity)
    return this.#sender
  }

  async #call<R>(act: () => Promise<R>): Promise<R> {
    if (this.#closing.signal.aborted) throw queueClosed(this.name)
    try {
      return await act()
    } catch (err) {
      throw toQueueError(err, this.name)
    }
  }
}
