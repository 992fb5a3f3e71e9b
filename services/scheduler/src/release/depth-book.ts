import { type Lane, queueName } from '@forebay/contracts'
import type { Clock, Logger } from '@forebay/kernel'
import { describeError } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'

interface Depth {
  waiting: number
  inFlight: number
  atMs: number
}

// A broker that is slow to answer keeps the others' depths from no one.
const patienceMs = 1_000

/** How many jobs the brokers hold of each queue in use, refreshed by a loop of its own so that one that hangs holds up nothing else. */
export class DepthBook {
  readonly #options: { pools: Pools; clock: Clock; logger: Logger; staleMs: number }
  readonly #names = new Map<string, string>()
  readonly #depths = new Map<string, Depth>()
  readonly #asking = new Set<string>()

  constructor(options: { pools: Pools; clock: Clock; logger: Logger; staleMs: number }) {
    this.#options = options
  }

  /** The depth of a queue, fresh enough to act on; undefined when there is none yet. Asking keeps it refreshed. */
  get(pool: string, queue: Lane | 'results'): Depth | undefined {
    const name = queueName(pool, queue)
    this.#names.set(name, pool)
    const depth = this.#depths.get(name)
    return depth && this.#options.clock.now() - depth.atMs <= this.#options.staleMs ? depth : undefined
  }

  /** Asks for every depth in use, those still being asked for excepted. */
  async refresh(): Promise<void> {
    const answered = new AbortController()
    const late = this.#options.clock.sleep(patienceMs, answered.signal).catch(() => {})
    const names = [...this.#names].filter(([name]) => !this.#asking.has(name))
    await Promise.race([Promise.all(names.map(([name, pool]) => this.#ask(name, pool))), late])
    answered.abort()
  }

  async #ask(name: string, pool: string): Promise<void> {
    const { clock, logger, pools } = this.#options
    const atMs = clock.now()
    this.#asking.add(name)
    try {
      const { visible, delayed, inFlight } = await (await pools.queues(pool)).queue(name).depth()
      this.#depths.set(name, { waiting: visible + delayed, inFlight, atMs })
    } catch (err) {
      logger.debug({ queue: name, reason: describeError(err) }, 'queue depth not known')
    } finally {
      this.#asking.delete(name)
    }
  }
}
