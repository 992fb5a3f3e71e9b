import { queueName } from '@forebay/contracts'
import type { Clock, Running } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'

const everyMs = 2_000

/** Asks every pool's realtime queue for its depth now and then, so that a broker that went away is known before a request needs it, and one that is back is used again. */
export class PoolProbe implements Running {
  readonly #options: { pools: Pools; clock: Clock }
  readonly #asking = new Set<string>()
  #stopTimer: (() => void) | undefined

  constructor(options: { pools: Pools; clock: Clock }) {
    this.#options = options
  }

  start(): void {
    this.#stopTimer ??= this.#options.clock.every(everyMs, () => {
      for (const { name } of this.#options.pools.list()) void this.#ask(name)
    })
  }

  async stop(): Promise<void> {
    this.#stopTimer?.()
    this.#stopTimer = undefined
  }

  async #ask(pool: string): Promise<void> {
    if (this.#asking.has(pool)) return
    this.#asking.add(pool)
    try {
      await (await this.#options.pools.queues(pool)).queue(queueName(pool, 'realtime')).depth()
    } catch {
      // The pool's circuit breaker keeps the reason.
    } finally {
      this.#asking.delete(pool)
    }
  }
}
