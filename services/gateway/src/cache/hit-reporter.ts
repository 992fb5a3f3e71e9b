import { queueName, type RequestResult, type ResultEvent, resultEventSchema } from '@forebay/contracts'
import { type Clock, describeError, type Logger, newId, type Running } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import { type JobSender, makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import type { GatewayMetrics } from '../metrics.ts'

const flushEveryMs = 250
const resultsPerEvent = 500
const waitingMax = 20_000
const stopMs = 5_000

/**
 * Tells the results service of requests that were answered from a cache, over the same queue as workers do: many in
 * one event, at most every 250 ms. An event that could not be sent is sent again, as the same event, until it is. A
 * process that dies loses what it answered in the last quarter of a second.
 */
export class HitReporter implements Running {
  readonly #options: { pools: Pools; clock: Clock; logger: Logger; metrics: GatewayMetrics }
  readonly #id: string
  readonly #fresh = new Map<string, RequestResult[]>()
  readonly #senders = new Map<string, Promise<JobSender<ResultEvent>>>()
  #unsent: ResultEvent[] = []
  #waiting = 0
  #flushing: Promise<void> | undefined
  #stopTimer: (() => void) | undefined

  constructor(options: { pools: Pools; clock: Clock; logger: Logger; metrics: GatewayMetrics }) {
    this.#options = options
    this.#id = newId('gw-', options.clock.now())
  }

  /** True when no more may be answered from a cache: too many hits wait for a queue that takes none. */
  get full(): boolean {
    return this.#waiting >= waitingMax
  }

  /** Takes one hit; it is sent within 250 ms. */
  report(result: RequestResult): void {
    this.#stopTimer ??= this.#options.clock.every(flushEveryMs, () => void this.#tick())
    const waiting = this.#fresh.get(result.pool)
    if (waiting) waiting.push(result)
    else this.#fresh.set(result.pool, [result])
    this.#count(1)
  }

  /** Sends what waits; never rejects. */
  async flush(): Promise<void> {
    if (this.#waiting === 0) return
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined
    })
    await this.#flushing
  }

  /** Sends what waits, for up to 5 s. */
  async stop(): Promise<void> {
    const { clock, logger } = this.#options
    this.#stopTicking()
    const untilMs = clock.now() + stopMs
    await this.flush()
    while (this.#waiting > 0 && clock.now() < untilMs) {
      await clock.sleep(flushEveryMs)
      await this.flush()
    }
    if (this.#waiting > 0) logger.error({ hits: this.#waiting }, 'cache hits could not be reported')
  }

  async #tick(): Promise<void> {
    await this.flush()
    // While nothing is answered from a cache, the process is not woken for it.
    if (this.#waiting === 0) this.#stopTicking()
  }

  #stopTicking(): void {
    this.#stopTimer?.()
    this.#stopTimer = undefined
  }

  async #flush(): Promise<void> {
    const { clock, logger } = this.#options
    for (const [pool, results] of this.#fresh) {
      for (let at = 0; at < results.length; at += resultsPerEvent)
        this.#unsent.push(this.#eventOf(pool, results.slice(at, at + resultsPerEvent)))
    }
    this.#fresh.clear()
    const events = this.#unsent
    const failed = await Promise.all(
      events.map(async (event) => {
        try {
          const sender = await this.#senderOf(event.pool)
          const [sent] = await sender.send([{ id: event.id, job: { ...event, sentAtMs: clock.now() } }])
          if (!sent?.ok) throw sent?.error ?? new Error('the queue did not answer')
          this.#count(-event.results.length)
          return []
        } catch (err) {
          logger.warn({ pool: event.pool, reason: describeError(err) }, 'cache hits not reported yet')
          return [event]
        }
      }),
    )
    this.#unsent = failed.flat()
  }

  #eventOf(pool: string, results: RequestResult[]): ResultEvent {
    const nowMs = this.#options.clock.now()
    const head = { v: 1, kind: 'results', id: newId('hits-', nowMs), workerId: this.#id, pool } as const
    return { ...head, sentAtMs: nowMs, partKey: null, results, chunks: [], idle: null }
  }

  #count(change: number): void {
    this.#waiting += change
    this.#options.metrics.cacheUnreported.set(this.#waiting)
  }

  #senderOf(pool: string): Promise<JobSender<ResultEvent>> {
    const known = this.#senders.get(pool)
    if (known) return known
    const open = async () => {
      const driver = (await this.#options.pools.queues(pool)).queue(queueName(pool, 'results'))
      await driver.ensure()
      return makeJobSender({ driver, codec: makeJsonCodec(resultEventSchema) })
    }
    const opened = open()
    this.#senders.set(pool, opened)
    opened.catch(() => this.#senders.delete(pool))
    return opened
  }
}
