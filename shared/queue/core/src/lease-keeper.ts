import { type Clock, describeError, isForebayError, type Logger } from '@forebay/kernel'
import type { Lease, QueueDriver } from '@forebay/queue-port'

/**
 * One timer that extends every held lease each third of its length, so one missed beat costs nothing. A lease that
 * the broker reports lost, or that ran out while the broker could not be reached, aborts its signal.
 */
export class LeaseKeeper {
  readonly #driver: QueueDriver
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #leaseMs: number
  readonly #kept = new Map<Lease, AbortController>()
  readonly #paused = new Set<Lease>()
  #stopTimer: (() => void) | undefined
  #stopped = false

  constructor(options: { driver: QueueDriver; clock: Clock; logger: Logger; leaseMs: number }) {
    this.#driver = options.driver
    this.#clock = options.clock
    this.#logger = options.logger
    this.#leaseMs = options.leaseMs
  }

  /** Keeps the lease until `drop`; the signal aborts when it is lost. */
  keep(lease: Lease): AbortSignal {
    const controller = new AbortController()
    this.#kept.set(lease, controller)
    if (!this.#stopped) {
      this.#stopTimer ??= this.#clock.every(Math.max(1, Math.floor(this.#leaseMs / 3)), () => this.#beat())
    }
    return controller.signal
  }

  /** Lets the lease go; its signal will not abort any more. */
  drop(lease: Lease): void {
    this.#kept.delete(lease)
    this.#paused.delete(lease)
    if (this.#kept.size === 0) this.#stopBeating()
  }

  /** Stops extending a lease that is being settled: an extension behind its own settlement would look like a loss. */
  pause(lease: Lease): void {
    this.#paused.add(lease)
  }

  /** Extends it again: it could not be settled. */
  resume(lease: Lease): void {
    this.#paused.delete(lease)
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
    for (const [lease, controller] of this.#kept) {
      if (this.#paused.has(lease)) continue
      this.#driver.extend(lease, this.#leaseMs).catch((err: unknown) => {
        if (!this.#kept.has(lease) || this.#paused.has(lease)) return
        const fields = { queue: this.#driver.name, jobId: lease.id, error: describeError(err) }
        const gone = (isForebayError(err) && err.code === 'lease_lost') || this.#clock.now() >= lease.leaseUntil
        if (!gone) return this.#logger.warn(fields, 'lease could not be extended')
        this.#logger.warn(fields, 'lease lost')
        this.drop(lease)
        controller.abort()
      })
    }
  }
}
