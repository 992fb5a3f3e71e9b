import type { Clock } from '@forebay/kernel'

/** A published message, as the protocol names its parts. */
export interface PubsubMessage {
  readonly data: Buffer
  readonly attributes: Readonly<Record<string, string>>
  readonly messageId: string
  readonly publishedAt: number
}

/** A message handed out by a pull. */
export interface Delivery {
  readonly ackId: string
  readonly message: PubsubMessage
  readonly attempt: number
}

interface Entry {
  readonly message: PubsubMessage
  attempt: number
  ackId: string | undefined
  /** When its lease ends, or 0 while it waits. */
  leasedUntil: number
}

/** What a subscription was created with. */
export interface SubscriptionSettings {
  readonly name: string
  readonly topic: string
  readonly ackDeadlineSeconds: number
  /** Where messages go after too many deliveries. */
  readonly deadLetter: { readonly topic: string; readonly attemptsMax: number } | undefined
}

/** The messages of one subscription: leased by ack id, in the order they came, at least once. */
export class Subscription {
  readonly settings: SubscriptionSettings
  readonly #clock: Clock
  readonly #onDead: (topic: string, message: PubsubMessage) => void
  #entries = new Set<Entry>()
  readonly #byAckId = new Map<string, Entry>()
  readonly #waiters = new Set<() => void>()
  #ackIds = 0
  #wakeAt = Number.POSITIVE_INFINITY
  #cancelWake: (() => void) | undefined

  constructor(options: {
    settings: SubscriptionSettings
    clock: Clock
    onDead: (topic: string, message: PubsubMessage) => void
  }) {
    this.settings = options.settings
    this.#clock = options.clock
    this.#onDead = options.onDead
  }

  /** Messages not acknowledged, leased ones included. */
  get undelivered(): number {
    return this.#entries.size
  }

  add(message: PubsubMessage): void {
    this.#entries.add({ message, attempt: 0, ackId: undefined, leasedUntil: 0 })
    this.#wake()
  }

  /** Leases up to `max` messages, waiting up to `waitMs` for the first; a cancelled call leases none. */
  async pull(max: number, waitMs: number, signal: AbortSignal): Promise<Delivery[]> {
    const deadline = this.#clock.now() + waitMs
    for (;;) {
      if (signal.aborted) return []
      const deliveries = this.#take(max)
      const leftMs = deadline - this.#clock.now()
      if (deliveries.length > 0 || leftMs <= 0) return deliveries
      await this.#idle(leftMs, signal)
    }
  }

  /** Says nothing of ack ids it does not know, like the real one. */
  acknowledge(ackIds: readonly string[]): void {
    for (const ackId of ackIds) {
      const entry = this.#leased(ackId)
      if (entry) this.#drop(entry)
    }
  }

  modify(ackIds: readonly string[], seconds: number): void {
    for (const ackId of ackIds) {
      const entry = this.#leased(ackId)
      if (!entry) continue
      entry.leasedUntil = seconds === 0 ? 0 : this.#clock.now() + seconds * 1_000
      if (seconds === 0) {
        this.#entries.delete(entry)
        this.#entries.add(entry)
      }
      this.#wakeWhenDue(entry.leasedUntil)
    }
    this.#wake()
  }

  /** Drops what was published up to then. */
  seek(time: number): void {
    for (const entry of this.#entries) if (entry.message.publishedAt <= time) this.#drop(entry)
  }

  stop(): void {
    this.#cancelWake?.()
  }

  #take(max: number): Delivery[] {
    const { ackDeadlineSeconds, deadLetter } = this.settings
    const now = this.#clock.now()
    const deliveries: Delivery[] = []
    for (const entry of this.#entries) {
      if (deliveries.length >= max) break
      if (entry.leasedUntil > now) continue
      if (deadLetter && entry.attempt >= deadLetter.attemptsMax) {
        this.#drop(entry)
        this.#onDead(deadLetter.topic, entry.message)
        continue
      }
      if (entry.ackId !== undefined) this.#byAckId.delete(entry.ackId)
      entry.attempt++
      entry.ackId = `${this.settings.name}#${this.#ackIds++}`
      entry.leasedUntil = now + ackDeadlineSeconds * 1_000
      this.#byAckId.set(entry.ackId, entry)
      this.#wakeWhenDue(entry.leasedUntil)
      // Attempts are told only where a dead-letter policy is.
      deliveries.push({ ackId: entry.ackId, message: entry.message, attempt: deadLetter ? entry.attempt : 0 })
    }
    return deliveries
  }

  #leased(ackId: string): Entry | undefined {
    const entry = this.#byAckId.get(ackId)
    return entry && entry.leasedUntil > this.#clock.now() ? entry : undefined
  }

  #drop(entry: Entry): void {
    this.#entries.delete(entry)
    if (entry.ackId !== undefined) this.#byAckId.delete(entry.ackId)
  }

  async #idle(ms: number, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = () => {
        cancel()
        this.#waiters.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      const cancel = this.#clock.after(ms, done)
      this.#waiters.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter()
  }

  /** One timer, at the earliest end of a lease. */
  #wakeWhenDue(at: number): void {
    if (at >= this.#wakeAt) return
    this.#cancelWake?.()
    this.#wakeAt = at
    this.#cancelWake = this.#clock.after(Math.max(0, at - this.#clock.now()), () => {
      this.#wakeAt = Number.POSITIVE_INFINITY
      this.#wake()
      for (const entry of this.#entries) {
        if (entry.leasedUntil > this.#clock.now()) this.#wakeWhenDue(entry.leasedUntil)
      }
    })
  }
}
