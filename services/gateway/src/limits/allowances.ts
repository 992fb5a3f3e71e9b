import type { Clock, Running } from '@forebay/kernel'
import { Allowance, type WindowState } from './allowance.ts'
import type { Ask, CountingWindows, Taken } from './window.ts'

/** What of a tenant is counted for live requests. */
export type Counted = Record<'requests' | 'tokens', number>

/** Whether a request was let in, and the windows after it. `by`: from an allowance, or by asking the store. */
export interface Verdict {
  letIn: boolean
  by: 'allowance' | 'store'
  requests: WindowState
  tokens: WindowState
  /** Names the window that its tokens were counted in. */
  window: number
}

interface Book {
  requests: Allowance
  tokens: Allowance
  /** The last request, and the requests since the rate was last taken. */
  lastMs: number
  sinceMs: number
  count: number
  perSecond: number
  tokensEach: number
  /** An ask is under way for what comes later. */
  asking: boolean
  noStockUntilMs: number
}

// So long an allowance lasts at the rate of late, and as many requests it is at least.
const stockSeconds = 0.5
const stockMin = 8
const rateEveryMs = 500
// A tenant of fewer requests is asked for one by one, and what it left unused is given back after two of these.
const lookMs = 1_000
const nothing: Counted = { requests: 0, tokens: 0 }

/**
 * Counts live requests at the store in advance: a tenant whose requests keep coming is granted an allowance of about half
 * a second's, which is used here without asking and refilled meanwhile. What is used was counted before, so no limit is
 * exceeded; near a limit nothing is granted in advance, and each request asks.
 */
export class Allowances implements Running {
  readonly #windows: CountingWindows
  readonly #clock: Clock
  readonly #books = new Map<string, Book>()
  #cancelLook: (() => void) | undefined

  constructor(options: { windows: CountingWindows; clock: Clock }) {
    this.#windows = options.windows
    this.#clock = options.clock
  }

  /** Counts one request with so many tokens, unless a limit is in the way; undefined when the store cannot be reached. */
  async admit(tenantId: string, tokens: number, limits: Counted): Promise<Verdict | undefined> {
    const nowMs = this.#clock.now()
    const book = this.#bookOf(tenantId)
    const stock = this.#stockAfter(book, tokens, nowMs)
    if (book.requests.left(nowMs) >= 1 && book.tokens.left(nowMs) >= tokens) {
      book.requests.use(1)
      book.tokens.use(tokens)
      if (isLow(book, stock, nowMs)) void this.#ask(tenantId, book, { need: nothing, stock, limits })
      return verdict(book, { letIn: true, by: 'allowance' }, nowMs)
    }
    return this.#ask(tenantId, book, { need: { requests: 1, tokens }, stock, limits })
  }

  /** Corrects the tokens of a request that was let in; known to the store with the next ask, or within three seconds. */
  correct(tenantId: string, tokens: number, window: number): void {
    this.#bookOf(tenantId).tokens.use(tokens, window)
  }

  /** Gives back what was not used. */
  async stop(): Promise<void> {
    this.#cancelLook?.()
    this.#cancelLook = undefined
    await Promise.all([...this.#books].map(([tenantId, book]) => this.#giveBack(tenantId, book)))
    this.#books.clear()
  }

  async #ask(
    tenantId: string,
    book: Book,
    options: { need: Counted; stock: Counted; limits: Counted },
  ): Promise<Verdict | undefined> {
    const { limits, need } = options
    const { requests, tokens } = book
    // Of many that ask at once, one asks for what comes after them.
    const stock = book.asking ? undefined : options.stock
    if (stock) book.asking = true
    const askedMs = this.#clock.now()
    const reserved = {
      requests: requests.reserve(need.requests, askedMs),
      tokens: tokens.reserve(need.tokens, askedMs),
    }
    const asks = {
      requests: requests.ask({
        need: need.requests - reserved.requests.points,
        ...{ stock: stock?.requests, limit: limits.requests, nowMs: askedMs },
      }),
      tokens: tokens.ask({
        need: need.tokens - reserved.tokens.points,
        ...{ stock: stock?.tokens, limit: limits.tokens, nowMs: askedMs },
      }),
    }
    const taken = await this.#take(tenantId, book, asks)
    if (stock) book.asking = false
    const letIn = taken !== undefined && isGranted(asks, taken)
    // Near a limit, or without the store, there is nothing to be had in advance for a while.
    if (stock && !(taken && isStocked(asks, taken))) book.noStockUntilMs = askedMs + lookMs
    if (!letIn) {
      requests.release(reserved.requests)
      tokens.release(reserved.tokens)
    }
    if (!taken) return undefined
    const used = letIn ? { need, reserved } : { need: nothing, reserved: undefined }
    requests.took(taken.requests, { points: used.need.requests, reserved: used.reserved?.requests, askedMs })
    tokens.took(taken.tokens, { points: used.need.tokens, reserved: used.reserved?.tokens, askedMs })
    return verdict(book, { letIn, by: 'store' }, this.#clock.now())
  }

  async #take(
    tenantId: string,
    book: Book,
    asks: Record<keyof Counted, Ask>,
  ): Promise<Record<keyof Counted, Taken> | undefined> {
    const taken = await this.#windows.take(tenantId, asks)
    if (!taken) {
      book.requests.failed(asks.requests)
      book.tokens.failed(asks.tokens)
    }
    return taken
  }

  async #giveBack(tenantId: string, book: Book): Promise<void> {
    const nowMs = this.#clock.now()
    if (book.requests.left(nowMs) === 0 && book.tokens.left(nowMs) === 0) return
    const none = { need: 0, stock: 0, limit: 0, nowMs }
    await this.#take(tenantId, book, { requests: book.requests.ask(none), tokens: book.tokens.ask(none) })
  }

  /** What is to be in stock beyond this request. */
  #stockAfter(book: Book, tokens: number, nowMs: number): Counted {
    const sinceMs = nowMs - book.lastMs
    book.lastMs = nowMs
    book.count++
    book.tokensEach += (tokens - book.tokensEach) / Math.min(book.count, 16)
    if (nowMs - book.sinceMs >= rateEveryMs) {
      book.perSecond = (book.count * 1_000) / (nowMs - book.sinceMs)
      book.count = 0
      book.sinceMs = nowMs
    }
    if (!this.#windows.shared || sinceMs > lookMs) return nothing
    const requests = Math.max(stockMin, Math.ceil(book.perSecond * stockSeconds))
    return { requests, tokens: Math.ceil(requests * book.tokensEach) }
  }

  #bookOf(tenantId: string): Book {
    const known = this.#books.get(tenantId)
    if (known) return known
    const book = {
      ...{ requests: new Allowance(), tokens: new Allowance(), tokensEach: 0, perSecond: 0, count: 0 },
      ...{ lastMs: Number.NEGATIVE_INFINITY, sinceMs: this.#clock.now(), asking: false, noStockUntilMs: 0 },
    }
    this.#books.set(tenantId, book)
    this.#cancelLook ??= this.#clock.after(lookMs, () => this.#look())
    return book
  }

  /** Gives back what is not used any more, and forgets tenants whose windows have ended. */
  #look(): void {
    const nowMs = this.#clock.now()
    for (const [tenantId, book] of this.#books) {
      if (nowMs - book.lastMs < 2 * lookMs) continue
      void this.#giveBack(tenantId, book)
      if (book.requests.ended(nowMs) && book.tokens.ended(nowMs)) this.#books.delete(tenantId)
    }
    this.#cancelLook = this.#books.size > 0 ? this.#clock.after(lookMs, () => this.#look()) : undefined
  }
}

function isLow({ asking, noStockUntilMs, requests, tokens }: Book, stock: Counted, nowMs: number): boolean {
  if (asking || nowMs < noStockUntilMs) return false
  return requests.left(nowMs) < stock.requests / 2 || tokens.left(nowMs) < stock.tokens / 2
}

function isGranted(asks: Record<keyof Counted, Ask>, taken: Record<keyof Counted, Taken>): boolean {
  return taken.requests.granted >= asks.requests.need && taken.tokens.granted >= asks.tokens.need
}

/** True when some of whatever was wanted for later was granted. */
function isStocked(asks: Record<keyof Counted, Ask>, taken: Record<keyof Counted, Taken>): boolean {
  const some = (ask: Ask, { granted }: Taken) => ask.spare === 0 || granted > ask.need
  return some(asks.requests, taken.requests) && some(asks.tokens, taken.tokens)
}

function verdict(book: Book, how: Pick<Verdict, 'letIn' | 'by'>, nowMs: number): Verdict {
  const { requests, tokens } = book
  return { ...how, requests: requests.state(nowMs), tokens: tokens.state(nowMs), window: tokens.window }
}
