import { type Lane, queueName } from '@forebay/contracts'
import type { Clock, Logger } from '@forebay/kernel'
import { describeError } from '@forebay/kernel'
import type { QueueProvider } from '@forebay/queue-port'

interface Depth {
  waiting: number
  inFlight: number
  atMs: number
}

/** How many jobs the broker holds of each queue in use, refreshed by a loop of its own so that a broker that hangs holds up nothing else. */
export class DepthBook {
  readonly #options: { queues: QueueProvider; clock: Clock; logger: Logger; staleMs: number }
  readonly #names = new Set<string>()
  readonly #depths = new Map<string, Depth>()

  constructor(options: { queues: QueueProvider; clock: Clock; logger: Logger; staleMs: number }) {
    this.#options = options
  }

  /** The depth of a queue, fresh enough to act on; undefined when there is none yet. Asking keeps it refreshed. */
  get(pool: string, queue: Lane | 'results'): Depth | undefined {
    const name = queueName(pool, queue)
    this.#names.add(name)
    const depth = this.#depths.get(name)
    return depth && this.#options.clock.now() - depth.atMs <= this.#options.staleMs ? depth : undefined
  }

  async refresh(): Promise<void> {
    const { queues, clock, logger } = this.#options
    await Promise.all(
      [...this.#names].map(async (name) => {
        const atMs = clock.now()
        try {
          const { visible, delayed, inFlight } = await queues.queue(name).depth()
          this.#depths.set(name, { waiting: visible + delayed, inFlight, atMs })
        } catch (err) {
          logger.debug({ queue: name, reason: describeError(err) }, 'queue depth not known')
        }
      }),
    )
  }
}
