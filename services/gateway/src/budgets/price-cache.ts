import { type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import { readAllPrices } from '@forebay/ledger'
import type { Price } from '@forebay/pricing'
import type { Database } from '@forebay/store'

const refreshMs = 5_000

/** The price book as it was at most five seconds ago: for estimates and what clients are shown, never for what is charged. */
export class PriceCache implements Running {
  readonly #options: { db: Database; clock: Clock; logger: Logger }
  #prices: readonly Price[] = []
  #stopTimer: (() => void) | undefined

  constructor(options: { db: Database; clock: Clock; logger: Logger }) {
    this.#options = options
  }

  get all(): readonly Price[] {
    return this.#prices
  }

  async start(): Promise<void> {
    this.#stopTimer ??= this.#options.clock.every(refreshMs, () => void this.refresh())
    await this.refresh()
  }

  async stop(): Promise<void> {
    this.#stopTimer?.()
    this.#stopTimer = undefined
  }

  /** Reads the prices now. Never throws. */
  async refresh(): Promise<void> {
    try {
      this.#prices = await readAllPrices(this.#options.db)
    } catch (err) {
      this.#options.logger.warn({ reason: describeError(err) }, 'prices could not be read')
    }
  }
}
