import type { Clock } from '@forebay/kernel'
import { leaseLost } from './errors.ts'
import type { Lease } from './messages.ts'

const sweepAtLeast = 1_024

/**
 * The leases a driver has handed out, each with what its broker needs to settle it, on a lease clock of our own:
 * brokers that settle an expired lease without a word would otherwise hide that another consumer has the message.
 */
export class LeaseBook<H> {
  readonly #clock: Clock
  readonly #held = new Map<Lease, H>()
  #sweepAt = sweepAtLeast

  constructor(options: { clock: Clock }) {
    this.#clock = options.clock
  }

  /** Enters a lease. */
  hold(lease: Lease, handle: H): Lease {
    if (this.#held.size >= this.#sweepAt) this.#sweep()
    this.#held.set(lease, handle)
    return lease
  }

  /** What settles the lease; undefined when it was settled or has run out. */
  find(lease: Lease): H | undefined {
    return lease.leaseUntil > this.#clock.now() ? this.#held.get(lease) : undefined
  }

  /** The same, throwing `lease_lost` instead. */
  handleOf(lease: Lease): H {
    const handle = this.find(lease)
    if (handle === undefined) throw leaseLost(lease.id)
    return handle
  }

  /** Moves the end of the lease to `leaseMs` from `from` on, and answers it. */
  extend(lease: Lease, from: number, leaseMs: number): number {
    lease.leaseUntil = from + leaseMs
    return lease.leaseUntil
  }

  /** Strikes a settled lease. */
  release(lease: Lease): void {
    this.#held.delete(lease)
  }

  /** How many leases run now. */
  count(): number {
    this.#sweep()
    return this.#held.size
  }

  #sweep(): void {
    const now = this.#clock.now()
    for (const lease of this.#held.keys()) if (lease.leaseUntil <= now) this.#held.delete(lease)
    this.#sweepAt = Math.max(sweepAtLeast, this.#held.size * 2)
  }
}
