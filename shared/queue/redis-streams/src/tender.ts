import { type Clock, describeError, type Logger } from '@forebay/kernel'
import type { StreamKeys } from './keys.ts'
import type { ScriptedRedis } from './scripts.ts'

/** How many lost, and how many due, messages one script moves: Redis does nothing else meanwhile. */
const moveSize = 200
const usualMsMax = 1_000

/** Looks for the lost and the due messages of one stream, and puts them where they are delivered. */
export class Tender {
  readonly #queue: string
  readonly #keys: StreamKeys
  readonly #redis: ScriptedRedis
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #leaseMs: number
  #next: { atMs: number; cancel: () => void } | undefined
  #started = false
  #stopped = false

  constructor(options: {
    queue: string
    keys: StreamKeys
    redis: ScriptedRedis
    clock: Clock
    logger: Logger
    leaseMs: number
  }) {
    this.#queue = options.queue
    this.#keys = options.keys
    this.#redis = options.redis
    this.#clock = options.clock
    this.#logger = options.logger
    this.#leaseMs = options.leaseMs
  }

  /** Looks now, and from here on at least once a second. Safe to repeat. */
  start(): void {
    if (this.#started) return
    this.#started = true
    this.#lookIn(0)
  }

  /** Ends the timer. */
  stop(): void {
    this.#stopped = true
    this.#next?.cancel()
  }

  /** Looks once, making the group if it is not there; answers in how many milliseconds to look again. */
  async look(): Promise<number> {
    const { delayed, ready } = this.#keys
    const [lost, againMs] = await this.#redis.streamTend(ready, delayed, this.#leaseMs, moveSize)
    if (lost > 0) this.#logger.info({ queue: this.#queue, jobs: lost }, 'lost leases recovered')
    const usualMs = Math.min(usualMsMax, Math.max(100, Math.floor(this.#leaseMs / 2)))
    return againMs < 0 ? usualMs : Math.min(usualMs, againMs)
  }

  /** A message falls due then: whoever was started looks in time. */
  due(inMs: number): void {
    if (this.#started && inMs < usualMsMax) this.#lookIn(inMs)
  }

  /** Then, unless it looks before. */
  #lookIn(ms: number): void {
    const atMs = this.#clock.now() + ms
    if (this.#stopped || (this.#next && this.#next.atMs <= atMs)) return
    this.#next?.cancel()
    this.#next = { atMs, cancel: this.#clock.after(ms, () => this.#lookAgain()) }
  }

  async #lookAgain(): Promise<void> {
    this.#next = undefined
    const againMs = await this.look().catch((err: unknown) => {
      if (!this.#stopped) {
        this.#logger.warn({ queue: this.#queue, error: describeError(err) }, 'lost leases could not be looked for')
      }
      return usualMsMax
    })
    this.#lookIn(againMs)
  }
}
