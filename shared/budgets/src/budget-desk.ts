import type { BudgetHold } from '@forebay/contracts'
import { type Clock, describeError, ForebayError, type Logger, newId, type Running } from '@forebay/kernel'
import type { Database } from '@forebay/store'
import type { BudgetBook, BudgetRow, Spender } from './budget-book.ts'
import { refusal, takeHold } from './holds.ts'

/** What a request was let in with. */
export interface Draw {
  /** Travels with the request, so that the transaction that charges it gives back just this. */
  readonly holds: readonly BudgetHold[]
  /** A soft limit is reached. */
  readonly softReached: boolean
  /** Gives it back; only for a request that was never sent to anybody. */
  undo(): void
}

/** A block of a budget's room that this gateway spends from. */
interface Lease {
  id: string
  budgetId: string
  leftNano: number
  /** Nothing is drawn from it from here on. */
  untilMs: number
}

const drawMs = 30_000
const closeEveryMs = 5_000
const blockShare = 0.01

/**
 * Lets requests in as far as the budgets allow. Room is taken from the database in blocks of a hundredth of what is
 * left, and requests draw from a block in this process: so the database is asked once for many. What is drawn is held
 * until the request's result is charged, or until the block's time is over; what was not drawn is given back when the
 * block is closed, after half a minute or at the stop. So what is spent can never be more than the limit allows, by more
 * than a request can cost beyond its estimate; and a gateway that dies holds one block for a while.
 */
export class BudgetDesk implements Running {
  readonly #options: {
    db: Database
    book: BudgetBook
    clock: Clock
    logger: Logger
    /** How long after a block was closed its results may come. */
    resultsMs: number
  }
  readonly #leases = new Map<string, Lease>()
  readonly #taking = new Map<string, Promise<void>>()
  #stopTimer: (() => void) | undefined

  constructor(options: { db: Database; book: BudgetBook; clock: Clock; logger: Logger; resultsMs: number }) {
    this.#options = options
  }

  start(): void {
    this.#stopTimer ??= this.#options.clock.every(closeEveryMs, () => void this.#closeOld())
  }

  /** Undefined where no budget applies. `estimate` is asked for only where one does. Throws `insufficient_quota`. */
  async admit(spender: Spender, estimate: () => { nano: number; currency: string }): Promise<Draw | undefined> {
    const budgets = this.#options.book.of(spender)
    if (budgets.length === 0) return undefined
    const { currency, nano } = estimate()
    const needNano = Math.max(1, nano)
    const drawn: [Lease, number][] = []
    const undo = () => {
      for (const [lease, amount] of drawn.splice(0)) lease.leftNano += amount
    }
    try {
      for (const budget of budgets) {
        if (budget.hard_nano === null || budget.currency !== currency) continue
        drawn.push([await this.#draw(budget, needNano), needNano])
      }
    } catch (err) {
      undo()
      throw err
    }
    return {
      holds: drawn.map(([lease, amount]) => ({ id: lease.id, budgetId: lease.budgetId, nano: amount })),
      softReached: budgets.some((budget) => budget.soft_reached_at !== null),
      undo,
    }
  }

  /** Gives back what was not drawn. */
  async stop(): Promise<void> {
    this.#stopTimer?.()
    this.#stopTimer = undefined
    await Promise.all(this.#taking.values())
    await this.#close([...this.#leases.values()])
  }

  async #draw(budget: BudgetRow, needNano: number): Promise<Lease> {
    for (;;) {
      const lease = this.#leases.get(budget.id)
      if (lease && lease.leftNano >= needNano && this.#options.clock.now() < lease.untilMs) {
        lease.leftNano -= needNano
        return lease
      }
      const taking = this.#taking.get(budget.id)
      if (taking) {
        await taking.catch(() => {})
        continue
      }
      let refused: ForebayError | undefined
      const take = this.#take(budget, needNano).then((reason) => {
        refused = reason
      })
      this.#taking.set(budget.id, take)
      await take.finally(() => this.#taking.delete(budget.id))
      if (refused) throw refused
    }
  }

  /** Takes a new block in place of the one there is. Answers why there is none. */
  async #take(budget: BudgetRow, needNano: number): Promise<ForebayError | undefined> {
    const { clock, db, resultsMs } = this.#options
    const old = this.#leases.get(budget.id)
    // First, so that its room can be had again.
    if (old) await this.#close([old])
    const roomNano = (budget.hard_nano ?? 0) - budget.spent_nano - budget.held_nano
    const wantNano = Math.max(needNano, Math.floor(roomNano * blockShare))
    const untilMs = clock.now() + drawMs
    const id = newId('lease_', clock.now())
    const lastsMs = drawMs + resultsMs
    const { granted, room } = await takeHold(db, { budgetId: budget.id, id, wantNano, leastNano: needNano, lastsMs })
    if (granted > 0) this.#leases.set(budget.id, { id, budgetId: budget.id, leftNano: granted, untilMs })
    // A budget whose hard limit was lifted meanwhile has no room to tell: the book will know shortly.
    else return new ForebayError('insufficient_quota', refusal(budget, needNano, room ?? 0, 'This request'))
    return undefined
  }

  async #closeOld(): Promise<void> {
    const nowMs = this.#options.clock.now()
    await this.#close([...this.#leases.values()].filter((lease) => nowMs >= lease.untilMs))
  }

  async #close(leases: readonly Lease[]): Promise<void> {
    for (const lease of leases) {
      if (this.#leases.get(lease.budgetId) === lease) this.#leases.delete(lease.budgetId)
      const { leftNano } = lease
      lease.leftNano = 0
      if (leftNano <= 0) continue
      await this.#options.db
        .query('SELECT release_hold($1, $2, $3)', [lease.id, lease.budgetId, leftNano])
        .catch((err: unknown) =>
          this.#options.logger.warn(
            { reason: describeError(err) },
            'budget room not given back; it is when its time is over',
          ),
        )
    }
  }
}
