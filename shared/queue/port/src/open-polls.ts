import type { Clock } from '@forebay/kernel'
import type { Lease } from './messages.ts'

/** Who waits for a poll. */
class Owner {
  readonly #poll: Poll
  readonly #resolve: (leases: readonly Lease[]) => void
  readonly #reject: (err: unknown) => void
  readonly #signal: AbortSignal | undefined
  readonly #leave: () => void
  readonly #cancel: () => void

  constructor(options: {
    poll: Poll
    clock: Clock
    waitMs: number
    signal: AbortSignal | undefined
    resolve: (leases: readonly Lease[]) => void
    reject: (err: unknown) => void
  }) {
    this.#poll = options.poll
    this.#resolve = options.resolve
    this.#reject = options.reject
    this.#signal = options.signal
    this.#leave = () => this.leave()
    this.#cancel = options.clock.after(options.waitMs, this.#leave)
    this.#signal?.addEventListener('abort', this.#leave, { once: true })
  }

  leave(): void {
    this.resolve([])
  }

  resolve(leases: readonly Lease[]): void {
    this.#end()
    this.#resolve(leases)
  }

  reject(err: unknown): void {
    this.#end()
    this.#reject(err)
  }

  #end(): void {
    this.#cancel()
    this.#signal?.removeEventListener('abort', this.#leave)
    this.#poll.owner = undefined
  }
}

interface Poll {
  readonly max: number
  readonly leaseMs: number
  owner: Owner | undefined
  done: Promise<void>
}

/**
 * Long polls that outlive the call that opened them. A broker goes on leasing messages to a request that its client
 * has dropped, so a poll is never dropped: a consumer that stops waiting leaves it open, the next one takes it over,
 * and what it brings while nobody waits is given back at once.
 */
export class OpenPolls {
  readonly #clock: Clock
  readonly #giveBack: (leases: readonly Lease[]) => Promise<void>
  readonly #polls = new Set<Poll>()
  #closed = false

  constructor(options: { clock: Clock; giveBack: (leases: readonly Lease[]) => Promise<void> }) {
    this.#clock = options.clock
    this.#giveBack = options.giveBack
  }

  /**
   * Waits for an open poll of no more than `max` messages, or for one opened with `start`. Answers none once the
   * signal aborts, `waitMs` is over or the polls are closed. Rejects as the poll does.
   */
  wait(options: {
    max: number
    leaseMs: number
    waitMs: number
    signal?: AbortSignal | undefined
    start: () => Promise<readonly Lease[]>
  }): Promise<readonly Lease[]> {
    const { max, leaseMs, signal, start, waitMs } = options
    if (this.#closed || signal?.aborted) return Promise.resolve([])
    const poll = this.#unowned(max, leaseMs) ?? this.#open(max, leaseMs, start)
    return new Promise((resolve, reject) => {
      poll.owner = new Owner({ poll, clock: this.#clock, waitMs, signal, resolve, reject })
    })
  }

  /** Ends every wait, then gives the polls up to `graceMs` to end and to give back what they brought. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true
    for (const poll of this.#polls) poll.owner?.leave()
    const ended = Promise.all([...this.#polls].map((poll) => poll.done))
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(graceMs, resolve)
      void ended.then(() => {
        cancel()
        resolve()
      })
    })
  }

  #unowned(max: number, leaseMs: number): Poll | undefined {
    return [...this.#polls].find((poll) => !poll.owner && poll.max <= max && poll.leaseMs === leaseMs)
  }

  #open(max: number, leaseMs: number, start: () => Promise<readonly Lease[]>): Poll {
    const poll: Poll = { max, leaseMs, owner: undefined, done: Promise.resolve() }
    this.#polls.add(poll)
    poll.done = start().then(
      async (leases) => {
        this.#polls.delete(poll)
        if (poll.owner) poll.owner.resolve(leases)
        // Should this fail, their leases run out.
        else if (leases.length > 0) await this.#giveBack(leases).catch(() => undefined)
      },
      (err: unknown) => {
        this.#polls.delete(poll)
        poll.owner?.reject(err)
      },
    )
    return poll
  }
}
