import { type Clock, describeError, isForebayError, type Logger } from '@forebay/kernel'
import type { Lease, QueueDriver } from '@forebay/queue-port'

/** What is kept: a lease, and who is told of its loss. */
interface Kept {
  readonly lease: Lease
  /** True: not to be extended now. */
  readonly paused: boolean
  /** Called once, when the lease is lost; it is not kept any more then. */
  lose(): void
}

/**
 * One timer that extends every held lease each third of its length, so one missed beat costs nothing. A lease that
 * the broker reports lost, or that ran out while the broker could not be reached, is told so.
 */
export class LeaseKeeper {
  readonly #driver: QueueDriver
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #leaseMs: number
  readonly #kept = new Set<Kept>()
  #stopTimer: (() => void) | undefined
  #stopped = false

  constructor(options: { driver: QueueDriver; clock: Clock; logger: Logger; leaseMs: number }) {
    this.#driver = options.driver
    this.#clock = options.clock
    this.#logger = options.logger
    this.#leaseMs = options.leaseMs
  }

  /** Keeps the lease until `drop`, or until it is lost. */
  keep(kept: Kept): void {
    this.#kept.add(kept)
    if (this.#stopTimer || this.#stopped) return
    this.#stopTimer = this.#clock.every(Math.max(1, Math.floor(this.#leaseMs / 3)), () => this.#beat())
  }

  /** Whether the lease is kept: neither dropped nor lost. */
  keeps(kept: Kept): boolean {
    return this.#kept.has(kept)
  }

  /** All that is kept now. */
  kept(): Iterable<Kept> {
    return this.#kept
  }

  /** Lets the lease go; it will not be told of a loss any more. */
  drop(kept: Kept): void {
    this.#kept.delete(kept)
  }

  /** Ends the timer. */
  stop(): void {
    this.#stopped = true
    this.#stopBeating()
  }

  #stopBeating(): void {
    this.#stopTimer?.()
    this.#stopTimer = undefined
  }

  #beat(): void {
    // Here and not when the last one is dropped, which would start and end a timer for each job of a quiet queue.
    if (this.#kept.size === 0) this.#stopBeating()
    for (const kept of this.#kept) {
      if (kept.paused) continue
      const { lease } = kept
      this.#driver.extend(lease, this.#leaseMs).catch((err: unknown) => {
        if (!this.#kept.has(kept) || kept.paused) return
        const fields = { queue: this.#driver.name, jobId: lease.id, error: describeError(err) }
        const gone = (isForebayError(err) && err.code === 'lease_lost') || this.#clock.now() >= lease.leaseUntil
        if (!gone) return this.#logger.warn(fields, 'lease could not be extended')
        this.#logger.warn(fields, 'lease lost')
        this.drop(kept)
        kept.lose()
      })
    }
  }
}
