import type { Message } from '@aws-sdk/client-sqs'
import { type Clock, eitherSignal, type ForebayError } from '@forebay/kernel'
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
import { deadCopy, pack, redrivenCopy, unpack } from './message.ts'
import { callMessagesMax, type SqsCalls } from './sqs-calls.ts'

const capabilities: DriverCapabilities = {
  // 1 MiB there, attributes included, and a body that is not text grows by a third.
  bodyBytesMax: 720 * 1024,
  delayMsMax: 900_000,
  leaseMsMax: 12 * 3_600_000,
  leaseIsFixed: false,
  reportsLostLease: false,
  uncountedNack: false,
  depth: 'approximate',
}
const limits = { itemsMax: callMessagesMax, bytesMax: 1024 * 1024, width: 4 }
const longPollSecondsMax = 20
/** Pause between short polls, for waits under SQS's unit of a second. */
const shortPollMs = 100
/** How long `close` lets open long polls run on, to give back what they bring. */
const closeGraceMs = 1_000
/** How long a dead message is held while it is copied back. */
const redriveLeaseSeconds = 30

/**
 * A standard queue on SQS with a dead-letter queue of our own sending. Long polls are left to end by themselves,
 * since SQS leases messages to an aborted one too. Times are whole seconds there: leases and delays are rounded up.
 */
export class SqsQueue implements QueueDriver {
  readonly name: string
  readonly capabilities = capabilities
  readonly #calls: SqsCalls
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #book: LeaseBook<Message>
  readonly #polls: OpenPolls
  readonly #closing = new AbortController()

  constructor(options: { name: string; calls: SqsCalls; clock: Clock; leaseMs: number }) {
    this.name = options.name
    this.#calls = options.calls
    this.#clock = options.clock
    this.#leaseMs = options.leaseMs
    this.#book = new LeaseBook(options)
    this.#polls = new OpenPolls({ clock: options.clock, giveBack: (leases) => this.#giveBack(leases) })
  }

  async ensure(): Promise<void> {
    await this.#open.ensure(this.#leaseMs)
  }

  send(items: readonly OutboundMessage[]): Promise<readonly ItemResult[]> {
    return sendInBatches({
      items,
      bodyBytesMax: capabilities.bodyBytesMax,
      limits,
      pack,
      toError: (err) => toQueueError(err, this.name),
      sendBatch: async (batch) =>
        this.#open.send(
          'queue',
          batch.map(({ entry }) => entry),
        ),
    })
  }

  async receive(options: { max: number; waitMs: number; leaseMs: number; signal?: AbortSignal }) {
    const { leaseMs, waitMs } = options
    const { release, signal } = eitherSignal(this.#closing.signal, ...(options.signal ? [options.signal] : []))
    const deadline = this.#clock.now() + waitMs
    try {
      while (options.max > 0 && !signal.aborted) {
        const leftMs = deadline - this.#clock.now()
        const waitSeconds = Math.max(0, Math.min(longPollSecondsMax, Math.floor(leftMs / 1_000)))
        const max = Math.min(options.max, callMessagesMax)
        const start = () => this.#poll(max, waitSeconds, leaseMs)
        const leases =
          waitSeconds === 0 ? await start() : await this.#polls.wait({ max, leaseMs, waitMs: leftMs, signal, start })
        if (leases.length === callMessagesMax) {
          return [...leases, ...(await this.#more(options.max - callMessagesMax, leaseMs))]
        }
        if (leases.length > 0 || this.#clock.now() >= deadline) return leases
        if (waitSeconds === 0) {
          await this.#clock.sleep(Math.min(shortPollMs, deadline - this.#clock.now()), signal).catch(() => undefined)
        }
      }
      return []
    } finally {
      release()
    }
  }

  async ack(leases: readonly Lease[]): Promise<readonly ItemResult[]> {
    const calls: Promise<readonly ItemResult[]>[] = []
    for (let from = 0; from < leases.length; from += callMessagesMax) {
      calls.push(this.#ackTen(leases.slice(from, from + callMessagesMax)))
    }
    return (await Promise.all(calls)).flat()
  }

  async nack(lease: Lease, options: { delayMs: number; counted?: boolean }): Promise<void> {
    await this.#setLease(lease, options.delayMs)
    this.#book.release(lease)
  }

  async extend(lease: Lease, leaseMs: number): Promise<number> {
    const from = this.#clock.now()
    await this.#setLease(lease, leaseMs)
    return this.#book.extend(lease, from, leaseMs)
  }

  async deadLetter(lease: Lease, reason: { code: string; detail?: string }): Promise<void> {
    throwFirst(await this.#open.send('dead', [deadCopy(this.#book.handleOf(lease), reason)]))
    const [result] = await this.#ackTen([lease])
    if (result && !result.ok) throw result.error
  }

  /** As SQS counts, seconds late at times; a message given back with a delay counts as in flight. */
  async depth(): Promise<QueueDepth> {
    const asOf = this.#clock.now()
    const [live, dead] = await Promise.all([this.#open.count('queue'), this.#open.count('dead')])
    return { ...live, dead: dead.visible + dead.inFlight + dead.delayed, asOf }
  }

  /** By copy and delete: SQS's own move task cannot be told how many, and would keep the reasons. */
  async redrive(options: { max: number }): Promise<{ moved: number }> {
    let moved = 0
    while (moved < options.max) {
      const max = Math.min(callMessagesMax, options.max - moved)
      const dead = await this.#open.receive('dead', { max, waitSeconds: 1, leaseSeconds: redriveLeaseSeconds })
      if (dead.length === 0) break
      for (const message of dead) {
        throwFirst(await this.#open.send('queue', [redrivenCopy(message)]))
        throwFirst(await this.#open.remove('dead', [message]))
        moved++
      }
    }
    return { moved }
  }

  /** Once a minute at most: SQS refuses more, with `overloaded`. */
  async purge(): Promise<void> {
    await Promise.all([this.#open.purge('queue'), this.#open.purge('dead')])
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    await this.#polls.close(closeGraceMs)
  }

  async #ackTen(leases: readonly Lease[]): Promise<readonly ItemResult[]> {
    const held = leases.flatMap((lease) => {
      const message = this.#book.find(lease)
      return message ? [{ lease, message }] : []
    })
    const failed = new Map<Lease, ForebayError>()
    if (held.length > 0) {
      const remove = async () =>
        this.#open.remove(
          'queue',
          held.map(({ message }) => message),
        )
      // Failing as a whole, it fails each.
      const errors = await remove().catch((err: unknown) => held.map(() => toQueueError(err, this.name)))
      for (const [i, { lease }] of held.entries()) {
        const error = errors[i]
        if (error) failed.set(lease, named(error, lease))
        else this.#book.release(lease)
      }
    }
    const ours = new Set(held.map(({ lease }) => lease))
    return leases.map((lease) => {
      const error = failed.get(lease) ?? (ours.has(lease) ? undefined : leaseLost(lease.id))
      return error ? { id: lease.id, ok: false, error } : { id: lease.id, ok: true }
    })
  }

  /** Fetches, without waiting, what is there beyond SQS's ten a call. */
  async #more(max: number, leaseMs: number): Promise<Lease[]> {
    const calls: Promise<Lease[]>[] = []
    for (let left = max; left > 0; left -= callMessagesMax) {
      calls.push(this.#poll(Math.min(left, callMessagesMax), 0, leaseMs))
    }
    // What one call brought is not lost for another's failure.
    return (await Promise.allSettled(calls)).flatMap((call) => (call.status === 'fulfilled' ? call.value : []))
  }

  async #poll(max: number, waitSeconds: number, leaseMs: number): Promise<Lease[]> {
    const leaseSeconds = Math.ceil(leaseMs / 1_000)
    const messages = await this.#open.receive('queue', { max, waitSeconds, leaseSeconds })
    const leaseUntil = this.#clock.now() + leaseMs
    return messages.map((message) => this.#book.hold(unpack(message, leaseUntil), message))
  }

  async #setLease(lease: Lease, ms: number): Promise<void> {
    const [error] = await this.#open.setLease([this.#book.handleOf(lease)], Math.ceil(ms / 1_000))
    if (!error) return
    if (error.code === 'lease_lost') this.#book.release(lease)
    throw named(error, lease)
  }

  async #giveBack(leases: readonly Lease[]): Promise<void> {
    const messages = leases.map((lease) => this.#book.handleOf(lease))
    for (const lease of leases) this.#book.release(lease)
    await this.#calls.setLease(messages, 0)
  }

  get #open(): SqsCalls {
    if (this.#closing.signal.aborted) throw queueClosed(this.name)
    return this.#calls
  }
}

function throwFirst(errors: readonly (ForebayError | undefined)[]): void {
  const error = errors.find((e) => e !== undefined)
  if (error) throw error
}

/** SQS's word that a lease has ended, with the name of its message. */
function named(error: ForebayError, lease: Lease): ForebayError {
  return error.code === 'lease_lost' ? leaseLost(lease.id, error.cause) : error
}
