import type { Clock } from '@forebay/kernel'
import {
  bodyTooLarge,
  type DriverCapabilities,
  type ItemResult,
  type Lease,
  leaseLost,
  type OutboundMessage,
  type QueueDepth,
  type QueueDriver,
  queueClosed,
} from '@forebay/queue-port'

interface Stored {
  readonly message: OutboundMessage
  readonly enqueuedAt: number
  attempt: number
  visibleAt: number
}

interface Dead {
  readonly stored: Stored
  readonly reason: { code: string; detail?: string }
}

const capabilitiesDefault: DriverCapabilities = {
  bodyBytesMax: 16 * 1024 * 1024,
  delayMsMax: 365 * 24 * 3_600_000,
  leaseMsMax: 24 * 3_600_000,
  leaseIsFixed: false,
  reportsLostLease: true,
  uncountedNack: true,
  depth: 'exact',
}

/** A queue in this process's memory, on the clock it is given: the same semantics as a broker, gone with the process. */
export class MemoryQueue implements QueueDriver {
  readonly name: string
  readonly capabilities: DriverCapabilities
  readonly #clock: Clock
  /** Waits to be received, or for its time to come; in order. */
  readonly #waiting = new Set<Stored>()
  readonly #leased = new Map<Lease, Stored>()
  readonly #dead = new Set<Dead>()
  /** No lease ends before. */
  #leasesEndAt = Number.POSITIVE_INFINITY
  readonly #waiters = new Set<() => void>()
  #closed = false

  constructor(options: { name: string; clock: Clock; capabilities?: Partial<DriverCapabilities> }) {
    this.name = options.name
    this.#clock = options.clock
    this.capabilities = { ...capabilitiesDefault, ...options.capabilities }
  }

  async ensure(): Promise<void> {}

  async send(items: readonly OutboundMessage[]): Promise<readonly ItemResult[]> {
    const now = this.#clock.now()
    const results = items.map((message): ItemResult => {
      if (this.#closed) return { id: message.id, ok: false, error: queueClosed(this.name) }
      const [bytes, bytesMax] = [message.body.byteLength, this.capabilities.bodyBytesMax]
      if (bytes > bytesMax) return { id: message.id, ok: false, error: bodyTooLarge(message.id, bytes, bytesMax) }
      this.#waiting.add({ message, enqueuedAt: now, attempt: 0, visibleAt: now + (message.delayMs ?? 0) })
      return { id: message.id, ok: true }
    })
    this.#wake()
    return results
  }

  async receive(options: { max: number; waitMs: number; leaseMs: number; signal?: AbortSignal }) {
    const deadline = this.#clock.now() + options.waitMs
    for (;;) {
      if (this.#closed || options.signal?.aborted) return []
      const leases = this.#take(options.max, options.leaseMs)
      const now = this.#clock.now()
      if (leases.length > 0 || now >= deadline) return leases
      await this.#idle(Math.min(deadline, this.#nextDue()) - now, options.signal)
    }
  }

  async ack(leases: readonly Lease[]): Promise<readonly ItemResult[]> {
    return leases.map((lease): ItemResult => {
      if (this.#holder(lease) && this.#leased.delete(lease)) return { id: lease.id, ok: true }
      return { id: lease.id, ok: false, error: leaseLost(lease.id) }
    })
  }

  async nack(lease: Lease, options: { delayMs: number; counted?: boolean }): Promise<void> {
    const stored = this.#held(lease)
    this.#leased.delete(lease)
    stored.visibleAt = this.#clock.now() + options.delayMs
    if (options.counted === false && this.capabilities.uncountedNack) stored.attempt--
    this.#waiting.add(stored)
    this.#wake()
  }

  async extend(lease: Lease, leaseMs: number): Promise<number> {
    this.#held(lease)
    lease.leaseUntil = this.#clock.now() + leaseMs
    this.#leasesEndAt = Math.min(this.#leasesEndAt, lease.leaseUntil)
    return lease.leaseUntil
  }

  async deadLetter(lease: Lease, reason: { code: string; detail?: string }): Promise<void> {
    const stored = this.#held(lease)
    this.#leased.delete(lease)
    this.#dead.add({ stored, reason })
  }

  async depth(): Promise<QueueDepth> {
    const asOf = this.#clock.now()
    this.#takeBackLost(asOf)
    let visible = 0
    for (const { visibleAt } of this.#waiting) if (visibleAt <= asOf) visible++
    const delayed = this.#waiting.size - visible
    return { visible, inFlight: this.#leased.size, delayed, dead: this.#dead.size, asOf }
  }

  async redrive(options: { max: number }): Promise<{ moved: number }> {
    let moved = 0
    for (const dead of this.#dead) {
      if (moved >= options.max) break
      this.#dead.delete(dead)
      this.#waiting.add(Object.assign(dead.stored, { attempt: 0, visibleAt: this.#clock.now() }))
      moved++
    }
    this.#wake()
    return { moved }
  }

  async purge(): Promise<void> {
    this.#takeBackLost(this.#clock.now())
    this.#waiting.clear()
    this.#dead.clear()
  }

  /** Why each dead message died, oldest first. */
  deadReasons(): readonly { id: string; code: string; detail?: string }[] {
    return [...this.#dead].map(({ reason, stored }) => ({ id: stored.message.id, ...reason }))
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#wake()
  }

  #take(max: number, leaseMs: number): Lease[] {
    const now = this.#clock.now()
    this.#takeBackLost(now)
    const leases: Lease[] = []
    for (const stored of this.#waiting) {
      if (leases.length >= max) break
      if (stored.visibleAt > now) continue
      this.#waiting.delete(stored)
      const { id, body, attributes = {} } = stored.message
      const { enqueuedAt } = stored
      const lease = { id, body, attributes, attempt: ++stored.attempt, enqueuedAt, leaseUntil: now + leaseMs }
      this.#leased.set(lease, stored)
      this.#leasesEndAt = Math.min(this.#leasesEndAt, lease.leaseUntil)
      leases.push(lease)
    }
    return leases
  }

  /** Leases that ran out free their messages. */
  #takeBackLost(now: number): void {
    if (now < this.#leasesEndAt) return
    this.#leasesEndAt = Number.POSITIVE_INFINITY
    for (const [lease, stored] of this.#leased) {
      if (lease.leaseUntil > now) this.#leasesEndAt = Math.min(this.#leasesEndAt, lease.leaseUntil)
      else {
        this.#leased.delete(lease)
        this.#waiting.add(stored)
      }
    }
  }

  /** When the next message falls due by itself: a delay or a lease that ends. */
  #nextDue(): number {
    let next = this.#leasesEndAt
    for (const { visibleAt } of this.#waiting) next = Math.min(next, visibleAt)
    return next
  }

  async #idle(ms: number, signal: AbortSignal | undefined): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = () => {
        cancel()
        this.#waiters.delete(done)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const cancel = this.#clock.after(Math.max(0, ms), done)
      this.#waiters.add(done)
      signal?.addEventListener('abort', done, { once: true })
    })
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter()
  }

  #holder(lease: Lease): Stored | undefined {
    return lease.leaseUntil > this.#clock.now() ? this.#leased.get(lease) : undefined
  }

  #held(lease: Lease): Stored {
    const stored = this.#holder(lease)
    if (!stored) throw leaseLost(lease.id)
    return stored
  }
}
