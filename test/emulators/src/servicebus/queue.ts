import { randomUUID } from 'node:crypto'
import type { Clock } from '@forebay/kernel'
import type { Message } from 'rhea'

/** What a queue was created with. */
export interface QueueSettings {
  readonly name: string
  readonly lockMs: number
  readonly maxDeliveryCount: number
  readonly requiresDuplicateDetection: boolean
  readonly requiresSession: boolean
}

/** One stored message. */
export interface Entry {
  readonly sequence: number
  readonly message: Message
  readonly enqueuedAt: number
  /** When a scheduled message becomes active; 0 otherwise. */
  readonly dueAt: number
  /** Deliveries begun so far. */
  deliveries: number
  lock: { token: string; until: number } | undefined
}

/** Peek-lock over the messages of one queue, in the order of their sequence numbers. */
export class BrokerQueue {
  readonly settings: QueueSettings
  readonly #clock: Clock
  readonly #onReady: () => void
  readonly #onDead: (message: Message) => void
  readonly #entries = new Map<number, Entry>()
  readonly #locks = new Map<string, Entry>()
  #sequence = 1
  #wakeAt = Number.POSITIVE_INFINITY
  #cancelWake: (() => void) | undefined

  constructor(options: {
    settings: QueueSettings
    clock: Clock
    /** Messages may have become available. */
    onReady: () => void
    onDead: (message: Message) => void
  }) {
    this.settings = options.settings
    this.#clock = options.clock
    this.#onReady = options.onReady
    this.#onDead = options.onDead
  }

  add(message: Message): void {
    const now = this.#clock.now()
    const scheduled = Number(message.message_annotations?.['x-opt-scheduled-enqueue-time'] ?? 0)
    const dueAt = scheduled > now ? scheduled : 0
    const sequence = this.#sequence++
    this.#entries.set(sequence, { sequence, message, enqueuedAt: now, dueAt, deliveries: 0, lock: undefined })
    if (dueAt > 0) this.#wakeWhenDue(dueAt)
    else this.#onReady()
  }

  /** Locks the next active message, or removes it at once. */
  take(mode: 'lock' | 'remove'): Entry | undefined {
    const now = this.#clock.now()
    for (const entry of this.#entries.values()) {
      if (entry.dueAt > now || (entry.lock && entry.lock.until > now)) continue
      this.#unlock(entry)
      if (entry.deliveries >= this.settings.maxDeliveryCount && mode === 'lock') {
        this.#moveToDead(entry, { DeadLetterReason: 'MaxDeliveryCountExceeded' })
        continue
      }
      entry.deliveries++
      if (mode === 'remove') this.#entries.delete(entry.sequence)
      else {
        entry.lock = { token: randomUUID().replaceAll('-', ''), until: now + this.settings.lockMs }
        this.#locks.set(entry.lock.token, entry)
        this.#wakeWhenDue(entry.lock.until)
      }
      return entry
    }
    return undefined
  }

  /** Each of these answers false when the lock has ended. */
  complete(token: string): boolean {
    const entry = this.#locked(token)
    if (entry) this.#remove(entry)
    return entry !== undefined
  }

  abandon(token: string): boolean {
    const entry = this.#locked(token)
    if (entry) {
      this.#unlock(entry)
      this.#onReady()
    }
    return entry !== undefined
  }

  deadLetter(token: string, reason: Readonly<Record<string, string>>): boolean {
    const entry = this.#locked(token)
    if (entry) this.#moveToDead(entry, reason)
    return entry !== undefined
  }

  /** The lock's new end. */
  renew(token: string): number | undefined {
    const entry = this.#locked(token)
    if (!entry?.lock) return undefined
    entry.lock.until = this.#clock.now() + this.settings.lockMs
    this.#wakeWhenDue(entry.lock.until)
    return entry.lock.until
  }

  peek(fromSequence: number, count: number): Entry[] {
    return [...this.#entries.values()].filter(({ sequence }) => sequence >= fromSequence).slice(0, count)
  }

  cancelScheduled(sequence: number): boolean {
    const entry = this.#entries.get(sequence)
    return entry !== undefined && this.isScheduled(entry) && this.#entries.delete(sequence)
  }

  isScheduled(entry: Entry): boolean {
    return entry.dueAt > this.#clock.now()
  }

  /** Locked messages count as active. */
  counts(): { active: number; scheduled: number } {
    const scheduled = [...this.#entries.values()].filter((entry) => this.isScheduled(entry)).length
    return { active: this.#entries.size - scheduled, scheduled }
  }

  stop(): void {
    this.#cancelWake?.()
  }

  #locked(token: string): Entry | undefined {
    const entry = this.#locks.get(token)
    return entry?.lock && entry.lock.until > this.#clock.now() ? entry : undefined
  }

  #unlock(entry: Entry): void {
    if (entry.lock) this.#locks.delete(entry.lock.token)
    entry.lock = undefined
  }

  #remove(entry: Entry): void {
    this.#unlock(entry)
    this.#entries.delete(entry.sequence)
  }

  #moveToDead(entry: Entry, reason: Readonly<Record<string, string>>): void {
    this.#remove(entry)
    const properties = { ...entry.message.application_properties, ...reason }
    this.#onDead({ ...entry.message, application_properties: properties })
  }

  /** One timer, at the earliest end of a lock or a schedule. */
  #wakeWhenDue(at: number): void {
    if (at >= this.#wakeAt) return
    this.#cancelWake?.()
    this.#wakeAt = at
    this.#cancelWake = this.#clock.after(Math.max(0, at - this.#clock.now()), () => {
      this.#wakeAt = Number.POSITIVE_INFINITY
      const now = this.#clock.now()
      for (const { dueAt, lock } of this.#entries.values()) {
        if (dueAt > now) this.#wakeWhenDue(dueAt)
        if (lock && lock.until > now) this.#wakeWhenDue(lock.until)
      }
      this.#onReady()
    })
  }
}
