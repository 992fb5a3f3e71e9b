import { BudgetBook, BudgetDesk, type Draw } from '@forebay/budgets'
import type { InferenceEndpoint } from '@forebay/contracts'
import type { Clock, Logger, Running } from '@forebay/kernel'
import { chargeFor } from '@forebay/pricing'
import type { Database } from '@forebay/store'
import { estimateOutputTokens } from '@forebay/tokens'
import type { Caller } from '../auth/authenticator.ts'
import type { LiveBody } from '../live/live-body.ts'
import type { PriceCache } from './price-cache.ts'

/** Output tokens that room is held for when a request names no limit. */
const unlimitedOutputTokens = 4_096
// Results may be minutes late when Postgres was away.
const resultsLateMs = 10 * 60_000

/** Lets live requests in as far as the budgets of their tenant, project and key allow. */
export class LiveBudgets implements Running {
  readonly #book: BudgetBook
  readonly #desk: BudgetDesk
  readonly #prices: PriceCache
  readonly #clock: Clock

  constructor(options: { db: Database; clock: Clock; logger: Logger; prices: PriceCache; requestTimeoutMs: number }) {
    this.#book = new BudgetBook(options)
    this.#desk = new BudgetDesk({ ...options, book: this.#book, resultsMs: options.requestTimeoutMs + resultsLateMs })
    this.#prices = options.prices
    this.#clock = options.clock
  }

  async start(): Promise<void> {
    await this.#book.start()
    this.#desk.start()
  }

  /** Reads the budgets now. Never throws. */
  refresh(): Promise<void> {
    return this.#book.refresh()
  }

  /** Undefined where no budget applies. Throws `insufficient_quota` when one has no room for what it may cost. */
  admit(caller: Caller, endpoint: InferenceEndpoint, body: LiveBody): Promise<Draw | undefined> {
    return this.#desk.admit(caller, () => {
      const charge = chargeFor({
        endpoint,
        // A token is at least a byte of text.
        usage: {
          promptTokens: Buffer.byteLength(body.given),
          cachedTokens: null,
          completionTokens: endpoint === '/v1/embeddings' ? 0 : outputTokensMax(body.fields),
          reasoningTokens: 0,
        },
        ...{ tenantId: caller.tenantId, model: body.model, lane: body.lane },
        atMs: this.#clock.now(),
        prices: this.#prices.all,
      })
      return { nano: charge.amountNano, currency: charge.currency }
    })
  }

  async stop(): Promise<void> {
    await this.#desk.stop()
    await this.#book.stop()
  }
}

function outputTokensMax(fields: { max_tokens?: unknown; max_completion_tokens?: unknown; n?: unknown }): number {
  const named = [fields.max_completion_tokens, fields.max_tokens].some((limit) => typeof limit === 'number')
  return estimateOutputTokens(named ? fields : { ...fields, max_tokens: unlimitedOutputTokens })
}
