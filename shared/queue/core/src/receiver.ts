import { type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import { type Lease, type QueueDriver, queueClosed } from '@forebay/queue-port'
import type { BodyStore } from './body-store.ts'
import type { JobCodec } from './codec.ts'
import { HeldJob } from './held-job.ts'
import type { LeasedJob, Outcome } from './job.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import { makeOpener, type Opened } from './opener.ts'
import { makeSettler, type Settler } from './settler.ts'

/** What a JobReceiver needs. */
export interface JobReceiverOptions<T> {
  driver: QueueDriver
  codec: JobCodec<T>
  clock: Clock
  logger: Logger
  /** How long a job stays held after this process dies. Renewed every third of it while the process lives. */
  leaseMs: number
  /** A job's last attempt; the next delivery, or a `retry` of this one, dead-letters it. */
  maxAttempts: number
  /** Where bodies over the broker's limit are; needed if the sender has one. */
  bodies?: BodyStore
  /** Back-off for a job whose body cannot be read just now. */
  retry?: { firstMs: number; maxMs: number }
}

/**
 * Receives jobs from one queue, keeps their leases alive with one shared timer, and settles them.
 *
 *   leased ──settle──▶ done | delayed (retry, snooze) | dead
 *      └──lease lost──▶ `lost` aborts; settling is then a logged no-op
 *
 * Whatever can be is done for a whole poll at once: a job costs an object, and the promise of its settlement.
 */
export class JobReceiver<T> implements Running {
  readonly #driver: QueueDriver
  readonly #logger: Logger
  readonly #leaseMs: number
  readonly #open: (lease: Lease) => Opened<T> | Promise<Opened<T>>
  readonly #keeper: LeaseKeeper
  readonly #settler: Settler
  readonly #polls = new Set<Promise<unknown>>()
  readonly #stopping = new AbortController()
  #link: Link | undefined
  #stopped: Promise<void> | undefined

  constructor(options: JobReceiverOptions<T>) {
    this.#driver = options.driver
    this.#logger = options.logger
    this.#leaseMs = Math.min(options.leaseMs, options.driver.capabilities.leaseMsMax)
    this.#open = makeOpener(options)
    this.#keeper = new LeaseKeeper({ ...options, leaseMs: this.#leaseMs })
    this.#settler = makeSettler(options)
  }

  /**
   * Leases up to `max` jobs, waiting up to `waitMs` for the first. Jobs that cannot be decoded or are past their last
   * attempt are dead-lettered with the reason and never returned. Rejects when the broker cannot be reached or
   * the receiver was stopped.
   */
  async receive(options: { max: number; waitMs: number; signal?: AbortSignal }): Promise<readonly LeasedJob<T>[]> {
    const { signal: outer, max, waitMs } = options
    // An answer of "none" would make a polling caller spin.
    if (this.#stopping.signal.aborted) throw queueClosed(this.#driver.name)
    if (outer?.aborted || max <= 0) return []
    const link = outer && this.#linkTo(outer)
    const signal = link ? link.join() : this.#stopping.signal
    const poll = this.#poll({ max, waitMs, leaseMs: this.#leaseMs, signal })
    this.#polls.add(poll)
    try {
      const jobs = await poll
      // Received while stopping: `stop` gives them back, nobody should start them.
      return this.#stopping.signal.aborted ? [] : jobs
    } finally {
      link?.leave()
      this.#polls.delete(poll)
    }
  }

  /**
   * Ends the job's lease with the outcome. Safe to repeat: once settled, later calls do nothing. A lost lease is
   * logged, not thrown. Rejects when the broker cannot be reached: the job is then still held, settle it again.
   */
  settle(leased: LeasedJob<T>, outcome: Outcome): Promise<void> {
    if (!(leased instanceof HeldJob && this.#keeper.keeps(leased))) return Promise.resolve()
    leased.settling ??= this.#settler.settle(leased.lease, outcome).then(
      () => this.#keeper.drop(leased),
      (err: unknown) => {
        leased.settling = undefined
        throw err
      },
    )
    return leased.settling
  }

  /** Ends open polls, then gives back what was received and never settled, then ends the heartbeat. */
  stop(): Promise<void> {
    this.#stopped ??= this.#drain()
    return this.#stopped
  }

  /** Whoever polls again and again does so with one signal, and then one link serves all its polls. */
  #linkTo(outer: AbortSignal): Link {
    if (this.#link?.outer === outer) return this.#link
    this.#link?.retire()
    this.#link = new Link(outer, this.#stopping.signal)
    return this.#link
  }

  async #drain(): Promise<void> {
    this.#stopping.abort()
    await Promise.allSettled(this.#polls)
    const held = [...this.#keeper.kept()].filter((kept) => kept instanceof HeldJob)
    await Promise.allSettled(held.map(({ settling }) => settling))
    await Promise.allSettled(held.map((leased) => this.settle(leased, { kind: 'snooze', delayMs: 0 })))
    this.#keeper.stop()
  }

  async #poll(options: Parameters<QueueDriver['receive']>[0]): Promise<readonly LeasedJob<T>[]> {
    const leases = await this.#driver.receive(options)
    const opened = leases.map((lease) => this.#take(lease))
    const jobs = opened.some((job) => job instanceof Promise) ? await Promise.all(opened) : opened
    return jobs.filter((job) => job instanceof HeldJob)
  }

  /** A lease's job, held from here on; or undefined once the lease was ended here. */
  #take(lease: Lease): HeldJob<T> | Promise<HeldJob<T> | undefined> {
    const opened = this.#open(lease)
    if (opened instanceof HeldJob) return this.#hold(opened)
    return opened instanceof Promise ? this.#takeLater(lease, opened) : this.#refuse(lease, opened)
  }

  async #takeLater(lease: Lease, opening: Promise<Opened<T>>): Promise<HeldJob<T> | undefined> {
    const kept = { lease, paused: false, lose: () => {} }
    this.#keeper.keep(kept)
    const opened = await opening
    if (!this.#keeper.keeps(kept)) return undefined
    this.#keeper.drop(kept)
    return opened instanceof HeldJob ? this.#hold(opened) : this.#refuse(lease, opened)
  }

  #hold(held: HeldJob<T>): HeldJob<T> {
    this.#keeper.keep(held)
    return held
  }

  async #refuse(lease: Lease, outcome: Outcome): Promise<undefined> {
    const kept = { lease, paused: false, lose: () => {} }
    this.#keeper.keep(kept)
    try {
      await this.#settler.settle(lease, outcome)
    } catch (err) {
      const fields = { queue: this.#driver.name, jobId: lease.id, error: describeError(err) }
      this.#logger.warn(fields, 'job could not be refused')
    } finally {
      this.#keeper.drop(kept)
    }
  }
}

/** A signal that aborts with the first of two. AbortSignal.any leaves its following to the garbage collector, which costs on every poll. */
class Link {
  readonly outer: AbortSignal
  readonly #stopping: AbortSignal
  readonly #linked = new AbortController()
  readonly #abort = () => this.#linked.abort('ended')
  #users = 0
  #retired = false

  constructor(outer: AbortSignal, stopping: AbortSignal) {
    this.outer = outer
    this.#stopping = stopping
    outer.addEventListener('abort', this.#abort, { once: true })
    stopping.addEventListener('abort', this.#abort, { once: true })
  }

  /** The signal, until `leave`. */
  join(): AbortSignal {
    this.#users++
    return this.#linked.signal
  }

  leave(): void {
    this.#users--
    this.#letGo()
  }

  /** Lets go of the two once nobody uses it. */
  retire(): void {
    this.#retired = true
    this.#letGo()
  }

  #letGo(): void {
    if (!this.#retired || this.#users > 0) return
    this.outer.removeEventListener('abort', this.#abort)
    this.#stopping.removeEventListener('abort', this.#abort)
  }
}
