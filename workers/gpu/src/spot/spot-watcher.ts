import { backoffMs, type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import type { SpotNotice, SpotSource } from './notice.ts'

/** What a SpotWatcher needs. */
export interface SpotWatcherOptions {
  source: SpotSource
  clock: Clock
  logger: Logger
  /** Called once for a risk, and once for an end, after which nothing more is looked for. */
  onNotice: (notice: SpotNotice) => void
}

/** Looks for the notice that the machine will be taken away, until it comes. */
export class SpotWatcher implements Running {
  readonly #options: SpotWatcherOptions
  readonly #stopping = new AbortController()
  #loop: Promise<void> | undefined
  #riskTold = false

  constructor(options: SpotWatcherOptions) {
    this.#options = options
  }

  /** Begins to look. Safe to repeat. */
  start(): void {
    this.#loop ??= this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#loop
  }

  async #run(): Promise<void> {
    const { clock, logger, source } = this.#options
    const { signal } = this.#stopping
    for (let failures = 0; !signal.aborted; ) {
      try {
        if (this.#tell(await source.look(signal))) return
        failures = 0
      } catch (err) {
        if (signal.aborted) return
        if (++failures === 3) {
          logger.warn({ cloud: source.cloud, error: describeError(err) }, 'spot notices cannot be read')
        }
      }
      const pauseMs = failures === 0 ? source.pollMs : backoffMs(failures, { firstMs: source.pollMs, maxMs: 15_000 })
      await clock.sleep(pauseMs, signal).catch(() => undefined)
    }
  }

  /** True when there is nothing more to wait for. */
  #tell(notice: SpotNotice | undefined): boolean {
    if (!notice || (notice.kind === 'risk' && this.#riskTold)) return false
    if (notice.kind === 'risk') this.#riskTold = true
    this.#options.onNotice(notice)
    return notice.kind === 'end'
  }
}
