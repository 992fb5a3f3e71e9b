import { backoffMs, type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import type { Database } from '@forebay/store'
import { claimDeliveries, type Delivery, fanOutEvents, returnDelivery } from './deliveries.ts'
import type { Metrics } from './metrics.ts'
import { recordAnswer, type Verdict } from './record-answer.ts'
import type { Answer, Sender } from './sender.ts'

const pollMs = 1000
const eventsMax = 100
const inFlightMax = 256
// One slow endpoint holds no more of a replica's places than this.
const perEndpointMax = 4
// A claim outlasts the attempt's timeout by this, for recording the answer.
const leaseMarginMs = 30_000
const recordTriesMax = 5

export interface DelivererOptions {
  clock: Clock
  logger: Logger
  db: Database
  sender: Sender
  metrics: Metrics
  /** Longest one attempt may take. */
  timeoutMs: number
  /** How long attempts under way may finish after `stop`. */
  drainMs: number
  random: () => number
}

/**
 * Fans events out and makes the attempts, woken by NOTIFY and once a second. Any number of replicas may run: a claim
 * is one replica's until it lapses. At least once, with the event's id the same every time.
 */
export class Deliverer implements Running {
  readonly #options: DelivererOptions
  /** Attempts under way, by endpoint. */
  readonly #inFlight = new Map<string, number>()
  readonly #attempts = new Set<Promise<void>>()
  readonly #abort = new AbortController()
  readonly #stopping = new AbortController()
  #started: Promise<void> | undefined
  #stopped: Promise<void> | undefined
  #listening: Running | undefined
  #loop: Promise<void> | undefined
  #woken = false
  #endNap = () => {}

  constructor(options: DelivererOptions) {
    this.#options = options
  }

  start(): Promise<void> {
    this.#started ??= this.#start()
    return this.#started
  }

  /** Claims nothing more, lets attempts under way finish within the drain time and gives the others back. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #start(): Promise<void> {
    this.#listening = await this.#options.db.listen('forebay_events', () => this.#wake())
    this.#loop = this.#run()
  }

  async #stop(): Promise<void> {
    await this.#started?.catch(() => {})
    this.#stopping.abort()
    this.#wake()
    await this.#listening?.stop()
    await this.#loop
    const cancelDrain = this.#options.clock.after(this.#options.drainMs, () => this.#abort.abort())
    await Promise.all(this.#attempts)
    cancelDrain()
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#options
    let failures = 0
    while (!this.#stopping.signal.aborted) {
      try {
        this.#woken = false
        const more = await this.#turn()
        failures = 0
        if (!more) await this.#nap()
      } catch (err) {
        failures++
        logger.warn({ reason: describeError(err), failures }, 'cannot look for webhook events; will retry')
        const waitMs = backoffMs(failures, { firstMs: pollMs, maxMs: 15_000 })
        await clock.sleep(waitMs, this.#stopping.signal).catch(() => {})
      }
    }
  }

  /** One look for work; true when there are more events than it took. */
  async #turn(): Promise<boolean> {
    const { clock, db, timeoutMs } = this.#options
    const events = await fanOutEvents(db, { nowMs: clock.now(), eventsMax })
    const free = inFlightMax - this.#attempts.size
    const nowMs = clock.now()
    const claimed =
      free > 0
        ? await claimDeliveries(db, {
            nowMs,
            leaseUntilMs: nowMs + timeoutMs + leaseMarginMs,
            max: free,
            perEndpointMax,
            inFlight: this.#inFlight,
          })
        : []
    for (const delivery of claimed) this.#launch(delivery)
    return events === eventsMax
  }

  #launch(delivery: Delivery): void {
    const { metrics } = this.#options
    this.#countInFlight(delivery.endpointId, 1)
    metrics.inFlight.inc()
    const attempt = this.#attempt(delivery).finally(() => {
      this.#countInFlight(delivery.endpointId, -1)
      metrics.inFlight.dec()
      this.#attempts.delete(attempt)
      // Its place is free: there may be another delivery for it.
      this.#wake()
    })
    this.#attempts.add(attempt)
  }

  #countInFlight(endpointId: string, change: 1 | -1): void {
    const count = (this.#inFlight.get(endpointId) ?? 0) + change
    if (count > 0) this.#inFlight.set(endpointId, count)
    else this.#inFlight.delete(endpointId)
  }

  /** Never rejects: what cannot be recorded is delivered again when its claim lapses. */
  async #attempt(delivery: Delivery): Promise<void> {
    const { clock, logger, db, sender, metrics } = this.#options
    const { eventId, endpointId, attempt } = delivery
    try {
      const startMs = clock.now()
      const answer = await sender.send(delivery, this.#abort.signal)
      const durationMs = clock.now() - startMs
      metrics.attemptSeconds.observe(durationMs / 1000)
      const verdict = await this.#record(delivery, answer)
      metrics.attempts.inc({ verdict })
      const fields = { eventId, endpointId, attempt, status: answer.status, reason: answer.error, durationMs }
      if (verdict === 'disabled') logger.warn(fields, 'webhook endpoint disabled')
      else if (verdict === 'failed') logger.warn(fields, 'webhook given up after its last attempt')
      else if (verdict === 'retry') logger.info(fields, 'webhook attempt failed; will retry')
      else logger.debug(fields, 'webhook delivered')
    } catch (err) {
      logger.warn({ eventId, endpointId, attempt, reason: describeError(err) }, 'webhook attempt not recorded')
      if (this.#abort.signal.aborted) await returnDelivery(db, delivery, clock.now()).catch(() => {})
    }
  }

  async #record(delivery: Delivery, answer: Answer): Promise<Verdict> {
    const { clock, db, random } = this.#options
    for (let tries = 1; ; tries++) {
      try {
        return await recordAnswer(db, { delivery, answer, nowMs: clock.now(), random })
      } catch (err) {
        if (tries === recordTriesMax) throw err
        await clock.sleep(backoffMs(tries, { firstMs: 200, maxMs: 5_000 }), this.#abort.signal)
      }
    }
  }

  #wake(): void {
    this.#woken = true
    this.#endNap()
  }

  /** Waits for the next poll or wake-up; a wake-up since the last look counts. */
  async #nap(): Promise<void> {
    if (this.#woken) return
    const nap = new AbortController()
    this.#endNap = () => nap.abort()
    await this.#options.clock.sleep(pollMs, nap.signal).catch(() => {})
  }
}
