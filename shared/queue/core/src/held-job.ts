import type { Lease } from '@forebay/queue-port'
import type { LeasedJob } from './job.ts'

/** A job as its receiver holds it: one object, to which nothing is added until somebody asks for it. */
export class HeldJob<T> implements LeasedJob<T> {
  readonly id: string
  readonly job: T
  readonly attempt: number
  readonly enqueuedAt: number
  readonly lease: Lease
  /** The settlement under way. */
  settling: Promise<void> | undefined = undefined
  #isLost = false
  #lost: AbortController | undefined = undefined
  #listener: (() => void) | undefined = undefined

  constructor(options: { lease: Lease; job: T; attempt: number; enqueuedAt: number }) {
    this.id = options.lease.id
    this.job = options.job
    this.attempt = options.attempt
    this.enqueuedAt = options.enqueuedAt
    this.lease = options.lease
  }

  /** Made when first asked for: few ever ask, and a signal costs more than all else of a job. */
  get lost(): AbortSignal {
    if (!this.#lost) {
      this.#lost = new AbortController()
      if (this.#isLost) this.#lost.abort()
    }
    return this.#lost.signal
  }

  onLost(fn: () => void): () => void {
    if (this.#isLost) {
      fn()
      return nothing
    }
    if (this.#listener) {
      this.lost.addEventListener('abort', fn, { once: true })
      return () => this.lost.removeEventListener('abort', fn)
    }
    this.#listener = fn
    return () => {
      if (this.#listener === fn) this.#listener = undefined
    }
  }

  /** True while it is being settled: an extension behind its own settlement would look like a loss. */
  get paused(): boolean {
    return this.settling !== undefined
  }

  /** Tells whoever asked, or will ask, that another consumer may run the job. */
  lose(): void {
    this.#isLost = true
    const listener = this.#listener
    this.#listener = undefined
    listener?.()
    this.#lost?.abort()
  }
}

function nothing(): void {}
