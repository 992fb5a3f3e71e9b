import type { Clock } from '@forebay/kernel'
import type { Lease } from '@forebay/queue-port'

const parkedBytesMax = 64 * 1024 * 1024

/**
 * Messages received before they are due, held by this process until then. Giving them back instead would use up one
 * of the broker's attempts each time.
 */
export class ParkedLeases {
  readonly #clock: Clock
  readonly #parked = new Map<Lease, number>()
  #bytes = 0

  constructor(options: { clock: Clock }) {
    this.#clock = options.clock
  }

  /** Holds a message; false when there is no room, and it is to be given back. */
  park(lease: Lease, dueAt: number): boolean {
    if (this.#bytes + lease.body.byteLength > parkedBytesMax) return false
    this.#parked.set(lease, dueAt)
    this.#bytes += lease.body.byteLength
    return true
  }

  /** Takes up to `max` messages that are due; those whose lease ran out are forgotten. */
  takeDue(max: number): Lease[] {
    const now = this.#clock.now()
    const due: Lease[] = []
    for (const [lease, dueAt] of this.#parked) {
      if (lease.leaseUntil <= now) this.#drop(lease)
      else if (dueAt <= now && due.length < max) {
        this.#drop(lease)
        due.push(lease)
      }
    }
    return due
  }

  /** Takes all, with how long each still has to wait. */
  takeAll(): { lease: Lease; delayMs: number }[] {
    const now = this.#clock.now()
    const all = [...this.#parked].map(([lease, dueAt]) => ({ lease, delayMs: Math.max(0, dueAt - now) }))
    this.#parked.clear()
    this.#bytes = 0
    return all
  }

  /** When the next falls due; infinite when none is held. */
  nextDue(): number {
    let next = Number.POSITIVE_INFINITY
    for (const dueAt of this.#parked.values()) next = Math.min(next, dueAt)
    return next
  }

  count(): number {
    return this.#parked.size
  }

  #drop(lease: Lease): void {
    this.#parked.delete(lease)
    this.#bytes -= lease.body.byteLength
  }
}
