import { type Clock, eitherSignal } from '@forebay/kernel'
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
import { deadCopy, pack, type ReceivedMessage, redrivenCopy, unpack } from './message.ts'
import { ParkedLeases } from './parked-leases.ts'
import { callMessagesMax, type PubsubCalls } from './pubsub-calls.ts'
import type { Undelivered } from './undelivered.ts'

const leaseMsMax = 600_000
/** A request takes 10 MB, attributes included. */
const bodyBytesMax = 8 * 1024 * 1024
const capabilities: Omit<DriverCapabilities, 'delayMsMax'> = {
  bodyBytesMax,
  leaseMsMax,
  leaseIsFixed: false,
  reportsLostLease: false,
  uncountedNack: false,
  depth: 'lagging',
}
const limits = { itemsMax: callMessagesMax, bytesMax: 9_500_000, width: 4 }
/** A pull shorter than this may come back empty from a queue that is not. */
const pullMsMin = 250
const pullMsMax = 20_000
/** How long `close` lets open pulls run on, to give back what they bring. */
const closeGraceMs = 1_000
const redriveWaitMs = 1_000
const redriveMax = 100

/**
 * A topic with one pulled subscription on Pub/Sub, and the same again for dead letters. Synchronous pulls, so that
 * nothing is fetched that nobody asked for. Pub/Sub counts deliveries; leases are whole seconds there, rounded up.
 */
export class PubsubQueue implements QueueDriver {
  readonly name: string
  readonly capabilities: DriverCapabilities
  readonly #calls: PubsubCalls
  readonly #readUndelivered: (now: number) => Promise<readonly Undelivered[]>
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #book: LeaseBook<ReceivedMessage>
  readonly #parked: ParkedLeases
  readonly #polls: OpenPolls
  readonly #closing = new AbortController()
  /** How long Pub/Sub leases a pulled message by itself; 0 while unknown. */
  #pulledLeaseMs = 0

  constructor(options: {
    name: string
    calls: PubsubCalls
    /** Counts the queue and its dead letters, in this order. */
    readUndelivered: (now: number) => Promise<readonly Undelivered[]>
    clock: Clock
    leaseMs: number
  }) {
    this.name = options.name
    // A message that is not due yet is held under one lease, which must outlast the delay.
    this.capabilities = { ...capabilities, delayMsMax: leaseMsMax - Math.min(options.leaseMs, leaseMsMax / 2) }
    this.#calls = options.calls
    this.#readUndelivered = options.readUndelivered
    this.#clock = options.clock
    this.#leaseMs = options.leaseMs
    this.#book = new LeaseBook(options)
    this.#parked = new ParkedLeases(options)
    this.#polls = new OpenPolls({ clock: options.clock, giveBack: (leases) => this.#endLeases(leases) })
  }

  async ensure(): Promise<void> {
    this.#pulledLeaseMs = await this.#open.ensure(this.#leaseMs)
  }

  send(items: readonly OutboundMessage[]): Promise<readonly ItemResult[]> {
    const now = this.#clock.now()
    return sendInBatches({
      items,
      bodyBytesMax,
      limits,
      pack: (item) => pack(item, now),
      toError: (err) => toQueueError(err, this.name),
      sendBatch: async (batch) => {
        await this.#open.publish(
          'queue',
          batch.map(({ attributes, data }) => ({ attributes, data })),
        )
        return []
      },
    })
  }

  async receive(options: { max: number; waitMs: number; leaseMs: number; signal?: AbortSignal }) {
    const { leaseMs } = options
    const max = Math.min(options.max, callMessagesMax)
    const { release, signal } = eitherSignal(this.#closing.signal, ...(options.signal ? [options.signal] : []))
    const deadline = this.#clock.now() + options.waitMs
    try {
      while (max > 0 && !signal.aborted) {
        const due = this.#parked.takeDue(max)
        if (due.length > 0) return this.#lease(due, leaseMs)
        const now = this.#clock.now()
        const pullMs = Math.min(pullMsMax, Math.max(pullMsMin, deadline - now))
        // The pull ends by itself; the wait for it also ends when a parked message falls due.
        const waitMs = Math.min(2 * pullMs, Math.max(0, this.#parked.nextDue() - now))
        const start = () => this.#pull(max, pullMs, leaseMs)
        const leases = await this.#polls.wait({ max, leaseMs, waitMs, signal, start })
        if (leases.length > 0 || (this.#clock.now() >= deadline && this.#parked.nextDue() > deadline)) return leases
      }
      return []
    } finally {
      release()
    }
  }

  async ack(leases: readonly Lease[]): Promise<readonly ItemResult[]> {
    const held = leases.filter((lease) => this.#book.find(lease))
    const failed = new Map<Lease, ItemResult>()
    for (let from = 0; from < held.length; from += callMessagesMax) {
      const batch = held.slice(from, from + callMessagesMax)
      try {
        await this.#open.acknowledge('queue', this.#ackIds(batch))
        for (const lease of batch) this.#book.release(lease)
      } catch (err) {
        for (const lease of batch) failed.set(lease, { id: lease.id, ok: false, error: toQueueError(err, this.name) })
      }
    }
    const ours = new Set(held)
    return leases.map((lease) => {
      if (!ours.has(lease)) return { id: lease.id, ok: false, error: leaseLost(lease.id) }
      return failed.get(lease) ?? { id: lease.id, ok: true }
    })
  }

  async nack(lease: Lease, options: { delayMs: number; counted?: boolean }): Promise<void> {
    await this.#open.setLease(this.#ackIds([lease]), Math.ceil(options.delayMs / 1_000))
    this.#book.release(lease)
  }

  async extend(lease: Lease, leaseMs: number): Promise<number> {
    await this.#lease([lease], leaseMs)
    return lease.leaseUntil
  }

  async deadLetter(lease: Lease, reason: { code: string; detail?: string }): Promise<void> {
    await this.#open.publish('dead', [deadCopy(this.#book.handleOf(lease), reason)])
    const [result] = await this.ack([lease])
    if (result && !result.ok) throw result.error
  }

  /**
   * As Cloud Monitoring last counted, a minute or more ago. It knows only what is not acknowledged: what this process
   * holds is told apart, what others hold is in `visible`.
   */
  async depth(): Promise<QueueDepth> {
    const [live, dead] = await this.#readUndelivered(this.#clock.now()).catch((err: unknown) => {
      throw toQueueError(err, this.name)
    })
    const delayed = this.#parked.count()
    const inFlight = this.#book.count() - delayed
    const visible = Math.max(0, (live?.count ?? 0) - inFlight - delayed)
    return { visible, inFlight, delayed, dead: dead?.count ?? 0, asOf: live?.asOf ?? 0 }
  }

  async redrive(options: { max: number }): Promise<{ moved: number }> {
    let moved = 0
    while (moved < options.max) {
      const dead = await this.#open.pull('dead', Math.min(redriveMax, options.max - moved), redriveWaitMs)
      if (dead.length === 0) break
      for (const message of dead) await this.#open.publish('queue', [redrivenCopy(message)])
      await this.#open.acknowledge(
        'dead',
        dead.map(({ ackId }) => ackId ?? ''),
      )
      moved += dead.length
    }
    return { moved }
  }

  /** By the clock: what was published until now. */
  async purge(): Promise<void> {
    for (const { lease } of this.#parked.takeAll()) this.#book.release(lease)
    const now = this.#clock.now()
    await Promise.all([this.#open.dropUntil('queue', now), this.#open.dropUntil('dead', now)])
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    await this.#polls.close(closeGraceMs)
    const returned = this.#parked.takeAll().flatMap(({ delayMs, lease }) => {
      const ackId = this.#book.find(lease)?.ackId
      return ackId ? [this.#calls.setLease([ackId], Math.ceil(delayMs / 1_000))] : []
    })
    await Promise.allSettled(returned)
  }

  async #pull(max: number, pullMs: number, leaseMs: number): Promise<readonly Lease[]> {
    const received = await this.#open.pull('queue', max, pullMs)
    if (received.length === 0) return []
    const now = this.#clock.now()
    const messages = received.map((message) => {
      const { dueAt, lease } = unpack(message, now + leaseMs)
      this.#book.hold(lease, message)
      return { lease, delayMs: dueAt - now, dueAt }
    })
    const due = messages.filter(({ delayMs }) => delayMs <= 0).map(({ lease }) => lease)
    if (due.length > 0 && this.#pulledLeaseMs !== leaseMs) await this.#lease(due, leaseMs)
    await Promise.all(messages.filter(({ delayMs }) => delayMs > 0).map((early) => this.#park(early, leaseMs)))
    return due
  }

  /** Holds a message that is not due yet, with a lease beyond that moment for somebody to ask for it. */
  async #park(early: { lease: Lease; delayMs: number; dueAt: number }, leaseMs: number): Promise<void> {
    const { delayMs, dueAt, lease } = early
    await this.#lease([lease], Math.min(leaseMsMax, delayMs + leaseMs))
    if (this.#parked.park(lease, dueAt)) return
    await this.#calls.setLease(this.#ackIds([lease]), Math.ceil(delayMs / 1_000))
    this.#book.release(lease)
  }

  async #lease(leases: readonly Lease[], leaseMs: number): Promise<readonly Lease[]> {
    const from = this.#clock.now()
    await this.#open.setLease(this.#ackIds(leases), Math.ceil(leaseMs / 1_000))
    for (const lease of leases) this.#book.extend(lease, from, leaseMs)
    return leases
  }

  async #endLeases(leases: readonly Lease[]): Promise<void> {
    const ackIds = this.#ackIds(leases)
    for (const lease of leases) this.#book.release(lease)
    await this.#calls.setLease(ackIds, 0)
  }

  #ackIds(leases: readonly Lease[]): string[] {
    return leases.map((lease) => this.#book.handleOf(lease).ackId ?? '')
  }

  get #open(): PubsubCalls {
    if (this.#closing.signal.aborted) throw queueClosed(this.name)
    return this.#calls
  }
}
