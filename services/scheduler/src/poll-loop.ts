import { backoffMs, type Clock, describeError, type Logger, type Running } from '@forebay/kernel'

/**
 * Repeats one piece of work: every `pollMs`, at once (after `gapMs`) when woken or when the work says that there is
 * more, and with back-off when it fails. Never two at a time. Work that goes on and on pauses ever longer, up to
 * `gapMsMax`: it then does more at a time.
 */
export class PollLoop implements Running {
  readonly #options: PollLoopOptions
  readonly #stopping = new AbortController()
  #waiting: AbortController | undefined
  #woken = false
  #gapMs: number
  #done: Promise<void> | undefined

  constructor(options: PollLoopOptions) {
    this.#options = options
    this.#gapMs = options.gapMs
  }

  start(): void {
    this.#done ??= this.#run()
  }

  /** Ends an idle wait; while the work runs, makes it run once more. */
  wake(): void {
    this.#woken = true
    this.#waiting?.abort()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#waiting?.abort()
    await this.#done
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    let failures = 0
    while (!signal.aborted) {
      this.#woken = false
      let more = false
      try {
        more = await this.#options.work(signal)
        failures = 0
      } catch (err) {
        if (signal.aborted) return
        failures++
        this.#options.logger.warn({ loop: this.#options.name, reason: describeError(err) }, 'scheduler work failed')
      }
      if (failures > 0) await this.#sleep(backoffMs(failures, { firstMs: 250, maxMs: 10_000 }), signal)
      else await this.#idle(more)
    }
  }

  async #idle(more: boolean): Promise<void> {
    const { gapMs, gapMsMax = gapMs, pollMs } = this.#options
    await this.#sleep(this.#gapMs, this.#stopping.signal)
    if (more || this.#woken) {
      this.#gapMs = Math.min(gapMsMax, this.#gapMs * 1.5)
      return
    }
    if (this.#stopping.signal.aborted) return
    this.#waiting = new AbortController()
    await this.#sleep(pollMs - this.#gapMs, this.#waiting.signal)
    this.#waiting = undefined
    this.#gapMs = gapMs
  }

  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    return this.#options.clock.sleep(Math.max(0, ms), signal).catch(() => {})
  }
}

export interface PollLoopOptions {
  clock: Clock
  logger: Logger
  name: string
  pollMs: number
  gapMs: number
  /** As `gapMs` unless given. */
  gapMsMax?: number
  /** Resolves true when there is more to do at once. */
  work: (signal: AbortSignal) => Promise<boolean>
}
