import { type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import type { Database, Row } from '@forebay/store'

/** A budget and how it stands in its present period. */
export interface BudgetRow extends Row {
  id: string
  tenant_id: string
  scope: 'tenant' | 'project' | 'key'
  scope_id: string
  period: 'day' | 'month' | 'total'
  soft_nano: number | null
  hard_nano: number | null
  currency: string
  created_at: Date
  starts_at: Date
  spent_nano: number
  held_nano: number
  soft_reached_at: Date | null
}

/** Who spends: the scopes whose budgets apply. */
export interface Spender {
  tenantId: string
  projectId: string
  keyId: string
}

const refreshMs = 2_000

/** The budgets there are, with how they stand. */
export const selectBudgets = `SELECT b.*, budget_start(b.period, now()) AS starts_at,
  coalesce(p.spent_nano, 0)::bigint AS spent_nano, coalesce(p.held_nano, 0)::bigint AS held_nano, p.soft_reached_at
  FROM budgets b LEFT JOIN budget_periods p ON p.budget_id = b.id AND p.starts_at = budget_start(b.period, now())`

/**
 * What one process knows of the budgets, read again every two seconds: where none is set, nothing is asked of the
 * database. A budget that is new, or one whose limit is changed, is kept to at most that much later.
 */
export class BudgetBook implements Running {
  readonly #db: Database
  readonly #clock: Clock
  readonly #logger: Logger
  #byScope = new Map<string, BudgetRow[]>()
  #stopTimer: (() => void) | undefined
  #reading: Promise<void> | undefined

  constructor(options: { db: Database; clock: Clock; logger: Logger }) {
    this.#db = options.db
    this.#clock = options.clock
    this.#logger = options.logger
  }

  /** Reads the budgets, and goes on doing so. */
  async start(): Promise<void> {
    this.#stopTimer ??= this.#clock.every(refreshMs, () => void this.refresh())
    await this.refresh()
  }

  /** Reads the budgets now. Never throws: what was known stays known while the database is away. */
  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  /** The budgets that apply to a spender; none is the usual case. */
  of(spender: Spender): readonly BudgetRow[] {
    if (this.#byScope.size === 0) return none
    const { keyId, projectId, tenantId } = spender
    const scopes = [`tenant ${tenantId} ${tenantId}`, `project ${tenantId} ${projectId}`, `key ${tenantId} ${keyId}`]
    return scopes.flatMap((scope) => this.#byScope.get(scope) ?? none)
  }

  async stop(): Promise<void> {
    this.#stopTimer?.()
    this.#stopTimer = undefined
    await this.#reading
  }

  async #read(): Promise<void> {
    try {
      const rows = await this.#db.query<BudgetRow>(`${selectBudgets} ORDER BY b.id`)
      const byScope = new Map<string, BudgetRow[]>()
      for (const row of rows) {
        const scope = `${row.scope} ${row.tenant_id} ${row.scope_id}`
        byScope.set(scope, [...(byScope.get(scope) ?? []), row])
      }
      this.#byScope = byScope
    } catch (err) {
      this.#logger.warn({ reason: describeError(err) }, 'budgets could not be read')
    }
  }
}

const none: readonly BudgetRow[] = []
