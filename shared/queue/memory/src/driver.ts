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
  /** The lease that holds it; undefined while it waits. */
  lease: Lease | undefined
  visibleAt: number
  dead: { code: string; detail?: string } | undefined
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
  #stored: Stored[] = []
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
      const visibleAt = now + (message.delayMs ?? 0)
      this.#stored.push({ message, enqueuedAt: now, attempt: 0, lease: undefined, visibleAt, dead: undefined })
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
      await this.#idle(Math.min(deadline, this.#nextDue(now)) - now, options.signal)
    }
  }

  async ack(leases: readonly Lease[]): Promise<readonly ItemResult[]> {
    const held = new Set<Stored>()
    const results = leases.map((lease): ItemResult => {
      const stored = this.#holder(lease)
      if (!stored) return { id: lease.id, ok: false, error: leaseLost(lease.id) }
      held.add(stored)
      return { id: lease.id, ok: true }
    })
    this.#stored = this.#stored.filter((s) => !held.has(s))
    return results
  }

  async nack(lease: Lease, options: { delayMs: number; counted?: boolean }): Promise<void> {
    const stored = this.#held(lease)
    stored.lease = undefined
    stored.visibleAt = this.#clock.now() + options.delayMs
    if (options.counted === false && this.capabilities.uncountedNack) stored.attempt--
    this.#stored = [...this.#stored.filter((s) => s !== stored), stored]
    this.#wake()
  }

  async extend(lease: Lease, leaseMs: number): Promise<number> {
    this.#held(lease)
    lease.leaseUntil = this.#clock.now() + leaseMs
    return lease.leaseUntil
  }

  async deadLetter(lease: Lease, reason: { code: string; detail?: string }): Promise<void> {
    const stored = this.#held(lease)
    stored.lease = undefined
    stored.dead = reason
  }

  async depth(): Promise<QueueDepth> {
    const now = this.#clock.now()
    const count = (is: (s: Stored) => boolean) => this.#stored.filter(is).length
    return {
      visible: count((s) => !s.dead && !isLeased(s, now) && s.visibleAt <= now),
      inFlight: count((s) => !s.dead && isLeased(s, now)),
      delayed: count((s) => !s.dead && !isLeased(s, now) && s.visibleAt > now),
      dead: count((s) => s.dead !== undefined),
      asOf: now,
    }
  }

  async redrive(options: { max: number }): Promise<{ moved: number }> {
    const dead = this.#stored.filter((s) => s.dead).slice(0, options.max)
    for (const stored of dead) Object.assign(stored, { dead: undefined, attempt: 0, visibleAt: this.#clock.now() })
    this.#wake()
    return { moved: dead.length }
  }

  async purge(): Promise<void> {
    this.#stored = this.#stored.filter((s) => isLeased(s, this.#clock.now()))
  }

  /** Why each dead message died, oldest first. */
  deadReasons(): readonly { id: string; code: string; detail?: string }[] {
    return this.#stored.flatMap((s) => (s.dead ? [{ id: s.message.id, ...s.dead }] : []))
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#wake()
  }

  #take(max: number, leaseMs: number): Lease[] {
    const now = this.#clock.now()
    const due = this.#stored.filter((s) => !s.dead && !isLeased(s, now) && s.visibleAt <= now).slice(0, max)
    return due.map((stored) => {
      stored.attempt++
      const { id, body, attributes } = stored.message
      const { attempt, enqueuedAt } = stored
      stored.lease = { id, body, attributes: attributes ?? {}, attempt, enqueuedAt, leaseUntil: now + leaseMs }
      return stored.lease
    })
  }

  /** When the next message falls due by itself: a delay or a lease that ends. */
  #nextDue(now: number): number {
    let next = Number.POSITIVE_INFINITY
    for (const s of this.#stored) {
      if (!s.dead) next = Math.min(next, isLeased(s, now) && s.lease ? s.lease.leaseUntil : s.visibleAt)
    }
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
    return this.#stored.find((s) => s.lease === lease && isLeased(s, this.#clock.now()))
  }

  #held(lease: Lease): Stored {
    const stored = this.#holder(lease)
    if (!stored) throw leaseLost(lease.id)
    return stored
  }
}

function isLeased(stored: Stored, now: number): boolean {
  return stored.lease !== undefined && stored.lease.leaseUntil > now
}
