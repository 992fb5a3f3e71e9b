import { type ResultEvent, resultEventSchema } from '@forebay/contracts'
import { backoffMs, type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import { JobReceiver, type LeasedJob, makeJsonCodec, type Outcome } from '@forebay/queue-core'
import type { QueueDriver } from '@forebay/queue-port'
import type { Database } from '@forebay/store'
import { commitApart } from './commit-apart.ts'
import type { ResultsMetrics } from './metrics.ts'
import { makeTurns, type Turns } from './turns.ts'
import type { CostPerGpuHour } from './write-ledger.ts'
import type { QualityThresholds } from './write-quality.ts'

const eventsMax = 32
const resultsMax = 2_000
// One group is received or acknowledged while another commits.
const loopsPerPool = 2
// What a transaction costs by itself is as much as its first hundred rows: while events keep coming, those of so long
// share one.
const gapMs = 150
// So many make the transaction's own cost small: there may be more where they came from.
const eventsEnough = 4

export interface PoolConsumerOptions {
  driver: QueueDriver
  db: Database
  clock: Clock
  logger: Logger
  metrics: ResultsMetrics
  leaseMs: number
  /** Makes the audit log ready to be written to. */
  prepare: () => Promise<void>
  costPerGpuHour: CostPerGpuHour
  quality: QualityThresholds
}

/**
 * Consumes one results queue: many events into one transaction, acknowledged after it. An event that comes alone is
 * committed at once; those that keep coming wait a little for each other. While the database or the broker is down
 * nothing is acknowledged or given up: the events stay leased and are tried again.
 */
export class PoolConsumer implements Running {
  readonly #options: PoolConsumerOptions
  readonly #receiver: JobReceiver<ResultEvent>
  readonly #stopping = new AbortController()
  readonly #turns: Turns
  #loops: Promise<unknown> | undefined
  #prepared = false
  #stopped: Promise<void> | undefined

  constructor(options: PoolConsumerOptions) {
    this.#options = options
    this.#turns = makeTurns({ clock: options.clock, gapMs })
    this.#receiver = new JobReceiver({
      ...options,
      codec: makeJsonCodec(resultEventSchema),
      // Results are never given up for having been delivered often.
      maxAttempts: Number.MAX_SAFE_INTEGER,
    })
  }

  /** Starts consuming. Safe to repeat. */
  start(): void {
    this.#loops ??= this.#run()
  }

  /** Finishes the transactions under way, gives back what is not committed, then returns. */
  stop(): Promise<void> {
    this.#stopped ??= this.#drain()
    return this.#stopped
  }

  async #drain(): Promise<void> {
    this.#stopping.abort()
    await this.#loops
    await this.#receiver.stop()
  }

  async #run(): Promise<void> {
    await this.#insist('results queue could not be opened', () => this.#options.driver.ensure())
    await Promise.all(Array.from({ length: loopsPerPool }, () => this.#consume()))
  }

  async #consume(): Promise<void> {
    const { signal } = this.#stopping
    for (;;) {
      await this.#turns.take(signal).catch(() => undefined)
      if (signal.aborted) return
      const events = await this.#insist('result events could not be received', () =>
        this.#receiver.receive({ max: eventsMax, waitMs: 5_000, signal }),
      )
      if (events && events.length >= eventsEnough) this.#turns.hurry()
      for (const group of groupsOf(events ?? [])) await this.#finish(group)
    }
  }

  async #finish(group: readonly LeasedJob<ResultEvent>[]): Promise<void> {
    const { clock, costPerGpuHour, db, metrics, quality } = this.#options
    const startedMs = clock.now()
    const outcome = await this.#insist('result events could not be committed', async () => {
      if (!this.#prepared) await this.#options.prepare()
      this.#prepared = true
      return commitApart({ db, clock, costPerGpuHour, quality, events: group.map((leased) => leased.job) })
    })
    if (outcome === undefined) return
    metrics.groupSeconds((clock.now() - startedMs) / 1000)
    for (const { summary, events } of outcome.transactions) metrics.committed(summary, events, quality)
    const reasons = new Map(outcome.rejected.map(({ event, reason }) => [event, reason]))
    await Promise.all(group.map((leased) => this.#settle(leased, reasons.get(leased.job))))
  }

  async #settle(leased: LeasedJob<ResultEvent>, rejection: string | undefined): Promise<void> {
    const { clock, logger, metrics } = this.#options
    const { id: eventId, sentAtMs, workerId } = leased.job
    if (rejection === undefined) metrics.lagSeconds((clock.now() - sentAtMs) / 1000)
    else {
      metrics.rejected()
      logger.error({ eventId, workerId, reason: rejection }, 'result event rejected')
    }
    const outcome: Outcome =
      rejection === undefined ? { kind: 'done' } : { kind: 'dead', code: 'rejected', detail: rejection }
    await this.#insist('result event could not be settled', () => this.#receiver.settle(leased, outcome))
  }

  /** Does `work` until it succeeds, backing off; gives up, with undefined, only when stopping. */
  async #insist<T>(fault: string, work: () => Promise<T>): Promise<T | undefined> {
    const { clock, driver, logger } = this.#options
    const { signal } = this.#stopping
    for (let attempt = 1; ; attempt++) {
      try {
        return await work()
      } catch (err) {
        const retryMs = backoffMs(attempt, { firstMs: 100, maxMs: 5_000 })
        logger.warn({ queue: driver.name, attempt, retryMs, reason: describeError(err) }, fault)
        await clock.sleep(retryMs, signal).catch(() => undefined)
        if (signal.aborted) return undefined
      }
    }
  }
}

/** Cuts events into groups of a bounded number of results, so that no transaction grows long. */
function groupsOf(events: readonly LeasedJob<ResultEvent>[]): LeasedJob<ResultEvent>[][] {
  const groups: LeasedJob<ResultEvent>[][] = []
  let results = 0
  for (const event of events) {
    const group = groups.at(-1)
    if (group !== undefined && results + event.job.results.length <= resultsMax) group.push(event)
    else {
      groups.push([event])
      results = 0
    }
    results += event.job.results.length
  }
  return groups
}
