import type { ResultEvent } from '@forebay/contracts'
import { backoffMs, type Clock, isForebayError } from '@forebay/kernel'
import type { Database } from '@forebay/store'
import { type CommitSummary, commitEvents } from './commit-events.ts'
import type { CostPerGpuHour } from './write-ledger.ts'
import type { QualityThresholds } from './write-quality.ts'

/** What became of a group of events: each was committed by one of the transactions, or rejected. */
export interface GroupOutcome {
  transactions: { summary: CommitSummary; events: number }[]
  rejected: { event: ResultEvent; reason: string }[]
}

/**
 * Commits a group in one transaction if it can. When the data of an event is at fault, the group is halved until that
 * event stands alone: it is rejected, its neighbours are committed. A deadlock or serialization failure is retried.
 * Throws what is not the events' fault (the database is down); what was committed before it may be committed again.
 */
export async function commitApart(options: {
  db: Database
  clock: Clock
  events: readonly ResultEvent[]
  costPerGpuHour?: CostPerGpuHour | undefined
  quality?: QualityThresholds | undefined
}): Promise<GroupOutcome> {
  const { events } = options
  try {
    const summary = await commitRetrying(options)
    return { transactions: [{ summary, events: events.length }], rejected: [] }
  } catch (err) {
    if (!isDataFault(err)) throw err
    const [event] = events
    if (event === undefined) throw err
    if (events.length === 1) return { transactions: [], rejected: [{ event, reason: reasonOf(err) }] }
    const middle = events.length >> 1
    const left = await commitApart({ ...options, events: events.slice(0, middle) })
    const right = await commitApart({ ...options, events: events.slice(middle) })
    return {
      transactions: [...left.transactions, ...right.transactions],
      rejected: [...left.rejected, ...right.rejected],
    }
  }
}

async function commitRetrying(options: Parameters<typeof commitApart>[0]) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await commitEvents(options)
    } catch (err) {
      // 40001 serialization failure, 40P01 deadlock: the other transaction went first.
      if (attempt === 5 || !/^(40001|40P01)$/.test(codeOf(err))) throw err
      await options.clock.sleep(backoffMs(attempt, { firstMs: 10, maxMs: 200 }))
    }
  }
}

// SQLSTATE class 22 (data exception), 23 (constraint) and 54 (too large), or a value out of range before it got there.
// Anything else, also what nobody thought of, is not laid on the data: waiting loses nothing, a dead letter might.
function isDataFault(err: unknown): boolean {
  if (isForebayError(err)) return err.code === 'invalid_value'
  return err instanceof RangeError || /^(22|23|54)[0-9A-Z]{3}$/.test(codeOf(err))
}

function codeOf(err: unknown): string {
  return err instanceof Error && 'code' in err ? String(err.code) : ''
}

/** Code and message; never Postgres's `detail`, which shows the row. */
function reasonOf(err: unknown): string {
  return err instanceof Error ? `${codeOf(err) || err.name}: ${err.message}`.slice(0, 500) : String(err)
}
