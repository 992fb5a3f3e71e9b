import { backoffMs, type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import type { LeasedJob } from './job.ts'
import type { JobReceiver } from './receiver.ts'

/** One lane to pull. */
export interface Lane<T> {
  readonly name: string
  readonly receiver: Pick<JobReceiver<T>, 'receive'>
  /** How many more jobs the owner would take now. */
  want(): number
  /** Must not throw; settle the job through the receiver. */
  onJob(leased: LeasedJob<T>): void
}

/**
 * Pulls several lanes, each in its own loop, so that a full lane never delays another. A lane polls only while its
 * `want()` is above 0. Broker errors are logged and backed off from.
 */
export class LanePuller<T> implements Running {
  readonly #lanes: readonly Lane<T>[]
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #waitMs: number
  readonly #stopping = new AbortController()
  readonly #sleepers = new Set<() => void>()
  readonly #polling = new Set<Lane<T>>()
  /** What ends a lane's polls: the same for one after the other, for it costs more than all else of a poll. */
  readonly #enders = new Map<Lane<T>, AbortController>()
  #loops: Promise<unknown> | undefined

  constructor(options: { lanes: readonly Lane<T>[]; clock: Clock; logger: Logger; waitMs?: number }) {
    this.#lanes = options.lanes
    this.#clock = options.clock
    this.#logger = options.logger
    this.#waitMs = options.waitMs ?? 10_000
  }

  /** Starts pulling. Safe to repeat. */
  start(): void {
    this.#loops ??= Promise.all(this.#lanes.map((lane) => this.#pull(lane)))
  }

  /** Asks every lane's `want()` again: call it when seats became free, or none are left. */
  wake(): void {
    for (const wake of [...this.#sleepers]) wake()
    for (const lane of this.#polling) if (lane.want() <= 0) this.#enders.get(lane)?.abort()
  }

  /** Ends open polls, then returns. What was handed to `onJob` stays its owner's to settle. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const ender of this.#enders.values()) ender.abort()
    this.wake()
    await this.#loops
  }

  async #pull(lane: Lane<T>): Promise<void> {
    let failures = 0
    while (!this.#stopping.signal.aborted) {
      const max = lane.want()
      if (max <= 0) {
        await this.#sleep()
        continue
      }
      try {
        await this.#poll(lane, max)
        failures = 0
      } catch (err) {
        failures++
        const retryMs = backoffMs(failures, { firstMs: 100, maxMs: 5_000 })
        this.#logger.warn({ lane: lane.name, retryMs, error: describeError(err) }, 'lane could not be polled')
        await this.#clock.sleep(retryMs, this.#stopping.signal).catch(() => undefined)
      }
    }
  }

  async #poll(lane: Lane<T>, max: number): Promise<void> {
    this.#polling.add(lane)
    try {
      const jobs = await lane.receiver.receive({ max, waitMs: this.#waitMs, signal: this.#enderOf(lane).signal })
      for (const job of jobs) lane.onJob(job)
    } finally {
      this.#polling.delete(lane)
    }
  }

  #enderOf(lane: Lane<T>): AbortController {
    const known = this.#enders.get(lane)
    if (known && !known.signal.aborted) return known
    const ender = new AbortController()
    this.#enders.set(lane, ender)
    return ender
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#sleepers.delete(wake)
        resolve()
      }
      this.#sleepers.add(wake)
    })
  }
}
