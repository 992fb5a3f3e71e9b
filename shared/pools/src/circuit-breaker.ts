import { type Clock, describeError, ForebayError, isForebayError } from '@forebay/kernel'

const failuresMax = 2
const coolMsFirst = 500
const coolMsMax = 10_000

/** Why calls are refused, and since when (epoch ms). */
export interface Trouble {
  reason: string
  sinceMs: number
}

/**
 * Keeps callers from a service that does not answer.
 *
 *   closed ──2 failures in a row──▶ open ──after a while──▶ half-open (one call goes through)
 *      ▲                             ▲                          │
 *      └──────────── it succeeds ────┼──────────────────────────┤
 *                                    └── it fails: a longer while
 */
export class CircuitBreaker {
  readonly #clock: Clock
  readonly #what: string
  readonly #isFault: (err: unknown) => boolean
  #failures = 0
  #open: { sinceMs: number; retryMs: number; reason: string } | undefined
  #coolMs = coolMsFirst
  #probing = false

  constructor(options: { clock: Clock; what: string; isFault: (err: unknown) => boolean }) {
    this.#clock = options.clock
    this.#what = options.what
    this.#isFault = options.isFault
  }

  /** Undefined while closed. */
  trouble(): Trouble | undefined {
    return this.#open && { reason: this.#open.reason, sinceMs: this.#open.sinceMs }
  }

  /**
   * Runs the work unless the breaker is open; rejects with `unavailable` then, and when `patienceMs` pass without an
   * answer. `faultOf` finds a failure in an answer.
   */
  async run<T>(work: () => Promise<T>, options: { patienceMs: number; faultOf?: (answer: T) => unknown }): Promise<T> {
    const open = this.#open
    if (open && (this.#probing || this.#clock.now() < open.retryMs)) {
      throw new ForebayError('unavailable', `${this.#what} is out of order: ${open.reason}`)
    }
    this.#probing = open !== undefined
    try {
      const answer = await this.#within(work, options.patienceMs)
      const fault = options.faultOf?.(answer)
      if (fault !== undefined && this.#isFault(fault)) this.#failed(fault)
      else this.#succeeded()
      return answer
    } catch (err) {
      if (this.#isFault(err)) this.#failed(err)
      else this.#succeeded()
      throw err
    } finally {
      if (open) this.#probing = false
    }
  }

  #within<T>(work: () => Promise<T>, patienceMs: number): Promise<T> {
    // By hand: a race, or a sleep that an AbortController ends, costs several times as much on every call.
    return new Promise((resolve, reject) => {
      const working = work()
      const cancel = this.#clock.after(patienceMs, () => {
        reject(new ForebayError('unavailable', `${this.#what} did not answer within ${patienceMs} ms.`))
      })
      working.then(
        (answer) => {
          cancel()
          resolve(answer)
        },
        (err: unknown) => {
          cancel()
          reject(err)
        },
      )
    })
  }

  #succeeded(): void {
    this.#failures = 0
    this.#coolMs = coolMsFirst
    this.#open = undefined
  }

  #failed(err: unknown): void {
    this.#failures++
    if (this.#failures < failuresMax) return
    const nowMs = this.#clock.now()
    this.#open = { sinceMs: this.#open?.sinceMs ?? nowMs, retryMs: nowMs + this.#coolMs, reason: describeError(err) }
    this.#coolMs = Math.min(coolMsMax, this.#coolMs * 2)
  }
}

/** True for failures that say the broker is not to be had, rather than that a call was wrong. */
export function isBrokerFault(err: unknown): boolean {
  return (
    !isForebayError(err) ||
    ['unavailable', 'overloaded', 'queue_denied', 'not_found', 'config_invalid'].includes(err.code)
  )
}

/** The same for a blob store, where an object that is missing is an answer. */
export function isStoreFault(err: unknown): boolean {
  return !isForebayError(err) || ['unavailable', 'overloaded', 'permission_denied', 'config_invalid'].includes(err.code)
}
