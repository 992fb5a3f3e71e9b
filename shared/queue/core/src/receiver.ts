import { backoffMs, type Clock, describeError, isForebayError, type Logger, type Running } from '@forebay/kernel'
import { type Lease, type QueueDriver, queueClosed } from '@forebay/queue-port'
import { attemptOf, attributeNames, deadReasonOf, enqueuedAtOf, remainingDelayMs } from './attributes.ts'
import type { BodyStore } from './body-store.ts'
import { type JobCodec, NewerVersionError } from './codec.ts'
import type { LeasedJob, Outcome } from './job.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import { makeSettler, type Settler } from './settler.ts'

/** A body that is not there may be in a folder not mounted yet; more often the job was done by another holder. */
const bodyTries = 5

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
 */
export class JobReceiver<T> implements Running {
  readonly #options: JobReceiverOptions<T>
  readonly #leaseMs: number
  readonly #keeper: LeaseKeeper
  readonly #settler: Settler
  readonly #held = new Map<LeasedJob<T>, Lease>()
  readonly #settling = new Map<LeasedJob<T>, Promise<void>>()
  readonly #polls = new Set<Promise<unknown>>()
  readonly #stopping = new AbortController()
  #stopped: Promise<void> | undefined

  constructor(options: JobReceiverOptions<T>) {
    this.#options = options
    this.#leaseMs = Math.min(options.leaseMs, options.driver.capabilities.leaseMsMax)
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
    if (this.#stopping.signal.aborted) throw queueClosed(this.#options.driver.name)
    if (outer?.aborted || max <= 0) return []
    const { signal, release } = outer ? either(outer, this.#stopping.signal) : only(this.#stopping.signal)
    const poll = this.#options.driver
      .receive({ max, waitMs, leaseMs: this.#leaseMs, signal })
      .then((leases) => Promise.all(leases.map((lease) => this.#open(lease))))
      .then((jobs) => jobs.filter((job) => job !== undefined))
    this.#polls.add(poll)
    try {
      const jobs = await poll
      // Received while stopping: `stop` gives them back, nobody should start them.
      return this.#stopping.signal.aborted ? [] : jobs
    } finally {
      release()
      this.#polls.delete(poll)
    }
  }

  /**
   * Ends the job's lease with the outcome. Safe to repeat: once settled, later calls do nothing. A lost lease is
   * logged, not thrown. Rejects when the broker cannot be reached: the job is then still held, settle it again.
   */
  settle(leased: LeasedJob<T>, outcome: Outcome): Promise<void> {
    const running = this.#settling.get(leased)
    if (running) return running
    const lease = this.#held.get(leased)
    if (!lease) return Promise.resolve()
    const settling = this.#settle(leased, lease, outcome).finally(() => this.#settling.delete(leased))
    this.#settling.set(leased, settling)
    return settling
  }

  /** Ends open polls, then gives back what was received and never settled, then ends the heartbeat. */
  stop(): Promise<void> {
    this.#stopped ??= this.#drain()
    return this.#stopped
  }

  async #drain(): Promise<void> {
    this.#stopping.abort()
    await Promise.allSettled(this.#polls)
    await Promise.allSettled(this.#settling.values())
    const unsettled = [...this.#held.keys()]
    await Promise.allSettled(unsettled.map((leased) => this.settle(leased, { kind: 'snooze', delayMs: 0 })))
    this.#keeper.stop()
  }

  async #settle(leased: LeasedJob<T>, lease: Lease, outcome: Outcome): Promise<void> {
    this.#keeper.pause(lease)
    try {
      await this.#settler.settle(lease, outcome)
    } catch (err) {
      this.#keeper.resume(lease)
      throw err
    }
    this.#held.delete(leased)
    this.#keeper.drop(lease)
  }

  /** Turns a lease into a job, or settles it here and answers undefined. */
  async #open(lease: Lease): Promise<LeasedJob<T> | undefined> {
    const { clock, codec, driver, logger, maxAttempts } = this.#options
    const attempt = attemptOf(lease)
    const lost = this.#keeper.keep(lease)
    const refuse = async (outcome: Outcome) => {
      await this.#settler.settle(lease, outcome).catch((err: unknown) => {
        logger.warn({ queue: driver.name, jobId: lease.id, error: describeError(err) }, 'job could not be refused')
      })
      this.#keeper.drop(lease)
      return undefined
    }
    const dead = deadReasonOf(lease)
    if (dead) return refuse({ kind: 'dead', ...dead })
    const delayMs = remainingDelayMs(lease, clock.now())
    if (delayMs > 0) return refuse({ kind: 'snooze', delayMs })
    if (attempt > maxAttempts) {
      return refuse({
        kind: 'dead',
        code: 'max_attempts',
        detail: `delivered ${attempt} times, ${maxAttempts} allowed`,
      })
    }
    const body = await this.#body(lease)
    if (body === 'gone' && attempt >= bodyTries) {
      return refuse({ kind: 'dead', code: 'body_gone', detail: 'its body is no longer in the body store' })
    }
    if (!body || body === 'gone')
      return refuse({ kind: 'retry', delayMs: this.#retryMs(attempt), reason: 'its body could not be read' })
    let job: T
    try {
      job = codec.decode(body)
    } catch (err) {
      if (err instanceof NewerVersionError) return refuse({ kind: 'dead', code: 'newer_version', detail: err.message })
      return refuse({ kind: 'dead', code: 'undecodable', detail: err instanceof Error ? err.name : 'not an Error' })
    }
    const leased: LeasedJob<T> = { id: lease.id, job, attempt, enqueuedAt: enqueuedAtOf(lease), lost }
    this.#held.set(leased, lease)
    lost.addEventListener('abort', () => this.#held.delete(leased), { once: true })
    return lost.aborted ? undefined : leased
  }

  /** The message's body; `gone` when the body store has none, undefined when it cannot be asked now. */
  async #body(lease: Lease): Promise<Uint8Array | 'gone' | undefined> {
    const key = lease.attributes[attributeNames.body]
    if (key === undefined) return lease.body
    const { bodies, driver, logger } = this.#options
    try {
      if (bodies) return await bodies.get(key)
      logger.error({ queue: driver.name, jobId: lease.id }, 'job body is in a body store and this receiver has none')
    } catch (err) {
      logger.warn({ queue: driver.name, jobId: lease.id, error: describeError(err) }, 'job body could not be read')
      if (isForebayError(err) && err.code === 'not_found') return 'gone'
    }
    return undefined
  }

  #retryMs(attempt: number): number {
    return backoffMs(attempt, this.#options.retry ?? { firstMs: 1_000, maxMs: 60_000 })
  }
}

interface Linked {
  signal: AbortSignal
  /** Lets go of the signals it follows. */
  release(): void
}

/** A signal that aborts with the first of two. AbortSignal.any leaves its following to the garbage collector, which costs on every poll. */
function either(one: AbortSignal, other: AbortSignal): Linked {
  const linked = new AbortController()
  const abort = () => linked.abort('ended')
  one.addEventListener('abort', abort, { once: true })
  other.addEventListener('abort', abort, { once: true })
  const release = () => {
    one.removeEventListener('abort', abort)
    other.removeEventListener('abort', abort)
  }
  return { signal: linked.signal, release }
}

function only(signal: AbortSignal): Linked {
  return { signal, release: () => {} }
}
