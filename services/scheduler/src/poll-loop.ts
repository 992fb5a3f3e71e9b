import { backoffMs, type Clock, describeError, type Logger, type Running } from '@forebay/kernel'

/**
 * Repeats one piece of work: every `pollMs`, soon after it is woken or the work says that there is more, and with
 * back-off when it fails. Never two at a time. Loops with the same `sinceMs` poll in the same moments, so that a process
 * without work sleeps in between. Work that goes on and on pauses ever longer, so that it does more at a time.
 */
export class PollLoop implements Running {
  readonly #options: PollLoopOptions
  readonly #stopping = new AbortController()
  #endWait: (() => void) | undefined
  #hint: 'none' | 'progress' | 'woken' = 'none'
  #gapMs: number
  #done: Promise<void> | undefined

  constructor(options: PollLoopOptions) {
    this.#options = options
    this.#gapMs = options.gapMs
  }

  start(): void {
    this.#done ??= this.#run()
  }

  /** There is something new: ends an idle wait; while the work runs, makes it run once more. */
  wake(): void {
    this.#hint = 'woken'
    this.#endWait?.()
  }

  /** What it works on has moved on: as `wake`, but while this goes on and on the pauses grow longer. */
  nudge(): void {
    if (this.#hint !== 'none') return
    this.#hint = 'progress'
    this.#endWait?.()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#endWait?.()
    await this.#done
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    let failures = 0
    while (!signal.aborted) {
      this.#hint = 'none'
      let more = false
      try {
        more = await this.#options.work(signal)
        failures = 0
      } catch (err) {
        if (signal.aborted) return
        failures++
        this.#options.logger.warn({ loop: this.#options.name, reason: describeError(err) }, 'scheduler work failed')
      }
      if (failures > 0) await this.#backOff(failures)
      else await this.#pause(more)
    }
  }

  async #backOff(failures: number): Promise<void> {
    const { clock } = this.#options
    const dueMs = clock.now() + backoffMs(failures, { firstMs: 250, maxMs: 10_000 })
    // No hint makes a database that is away come back sooner.
    for (let leftMs = dueMs - clock.now(); leftMs > 0; leftMs = dueMs - clock.now()) {
      if (this.#stopping.signal.aborted) return
      await this.#wait(leftMs)
    }
  }

  async #pause(more: boolean): Promise<void> {
    const { clock, gapMs, gapMsMax = gapMs, gapMsWoken = gapMsMax, pollMs, sinceMs = 0 } = this.#options
    const endedMs = clock.now()
    const pollAtMs = sinceMs + Math.ceil((endedMs + gapMs - sinceMs) / pollMs) * pollMs
    const dueMs = () => {
      if (this.#hint === 'woken') return endedMs + Math.min(gapMsWoken, this.#gapMs)
      return more || this.#hint === 'progress' ? endedMs + this.#gapMs : pollAtMs
    }
    for (let leftMs = dueMs() - endedMs; leftMs > 0; leftMs = dueMs() - clock.now()) {
      if (this.#stopping.signal.aborted) return
      await this.#wait(leftMs)
    }
    const isBusy = more || this.#hint !== 'none'
    this.#gapMs = isBusy ? Math.min(gapMsMax, this.#gapMs * 1.5) : gapMs
  }

  /** Resolves after `ms`, at a hint or at the stop. */
  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(ms, () => this.#endWait?.())
      this.#endWait = () => {
        this.#endWait = undefined
        cancel()
        resolve()
      }
    })
  }
}

export interface PollLoopOptions {
  clock: Clock
  logger: Logger
  name: string
  pollMs: number
  /** Polls are at this time and whole multiples of `pollMs` later. */
  sinceMs?: number
  gapMs: number
  /** How long pauses grow while there is always more; as `gapMs` unless given. */
  gapMsMax?: number
  /** How long they grow for what is woken all the time; as `gapMsMax` unless given. */
  gapMsWoken?: number
  /** Resolves true when there is more to do at once. */
  work: (signal: AbortSignal) => Promise<boolean>
}
