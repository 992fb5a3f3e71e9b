import type { Announcement } from '@forebay/contracts'
import type { Clock } from '@forebay/kernel'

const goneMs = 10_000
const hearsMs = 5_000
const newestWeight = 0.2
// Below so much of its seats a worker shows what it was given, not what it can do.
const fullShare = 0.7

/** What workers say of themselves: how many work in each pool, and what one of them gets through when it is full. */
export class WorkerBook {
  readonly #clock: Clock
  readonly #workers = new Map<string, { pool: string; heardMs: number }>()
  readonly #rates = new Map<string, number>()
  #heardMs: number | undefined

  constructor(options: { clock: Clock }) {
    this.#clock = options.clock
  }

  hear(announcement: Announcement): void {
    const { draining, healthy, inFlight, inFlightMax, pool, tokensPerSecond, workerId } = announcement
    this.#heardMs = this.#clock.now()
    if (draining || !healthy) {
      this.#workers.delete(workerId)
      return
    }
    this.#workers.set(workerId, { pool, heardMs: this.#heardMs })
    const running = inFlight.realtime + inFlight.standard + inFlight.batch
    if (tokensPerSecond <= 0 || running < fullShare * inFlightMax) return
    const known = this.#rates.get(pool)
    this.#rates.set(pool, known === undefined ? tokensPerSecond : known + newestWeight * (tokensPerSecond - known))
  }

  /** Workers of the pool that take work and were heard of lately. */
  ready(pool: string): number {
    const sinceMs = this.#clock.now() - goneMs
    for (const [id, worker] of this.#workers) if (worker.heardMs < sinceMs) this.#workers.delete(id)
    return [...this.#workers.values()].filter((worker) => worker.pool === pool).length
  }

  /** Tokens a second of one full worker; undefined until one was full. */
  rate(pool: string): number | undefined {
    return this.#rates.get(pool)
  }

  /** True when all workers that were heard of fell silent at once: the bus may be at fault, not they. */
  get silent(): boolean {
    return this.#workers.size > 0 && this.#clock.now() - (this.#heardMs ?? 0) > hearsMs
  }
}
