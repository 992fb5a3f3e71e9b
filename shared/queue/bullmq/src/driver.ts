import { randomUUID } from 'node:crypto'
import { type Clock, describeError, type Logger } from '@forebay/kernel'
import {
  bodyTooLarge,
  type DriverCapabilities,
  type ItemResult,
  type Lease,
  leaseLost,
  type OutboundMessage,
  type QueueDepth,
  type QueueDriver,
  queueClosed,
} from '@forebay/queue-port'
import { type IQueueBackend, Queue } from 'bullmq'
import { type Broker, leaseTiming } from './broker.ts'
import { type Envelope, pack, unpackBody } from './envelope.ts'
import { isLockLost, toQueueError } from './errors.ts'
import { Exchange, type Held } from './exchange.ts'
import { JobWaiter } from './job-waiter.ts'

const capabilities: DriverCapabilities = {
  bodyBytesMax: 4 * 1024 * 1024,
  delayMsMax: 365 * 24 * 3_600_000,
  leaseMsMax: 24 * 3_600_000,
  leaseIsFixed: false,
  reportsLostLease: true,
  uncountedNack: true,
  depth: 'exact',
}

/** How many jobs one round trip adds. */
const addSize = 500
/** Dead letters kept: `age` in seconds. */
const deadKept = { age: 30 * 24 * 3_600, count: 100_000 }
/** What `close` waits for calls under way. */
const callsMsMax = 3_000
/** BullMQ's event stream, which nothing here reads. */
const eventsKept = 100

/**
 * A queue on BullMQ, consumed by hand: jobs are claimed, extended and settled through BullMQ's backend, without its
 * Worker loop. The failed set is the dead-letter queue. A lost lease is found by BullMQ's stalled check, which runs
 * in every process that receives, so a job is delivered again about `leaseMs` + one check after its holder died.
 */
export class BullmqQueue implements QueueDriver {
  readonly name: string
  readonly capabilities = capabilities
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #leaseMs: number
  readonly #claimsWake: boolean
  readonly #claimsMax: number
  readonly #backend: IQueueBackend
  readonly #queue: Queue<Envelope, unknown, string, Envelope, unknown, string, IQueueBackend>
  readonly #exchange: Exchange
  readonly #waiter: JobWaiter
  readonly #held = new WeakMap<Lease, Held>()
  /** How many claims the next look at the queue begins with. */
  #claimsNext = 1
  #stopStalledCheck: (() => void) | undefined
  #nextDelayed = 0
  #wakeUpLeft = false
  #closing: Promise<void> | undefined
  readonly #calls = new Set<Promise<unknown>>()

  constructor(options: { name: string; broker: Broker; clock: Clock; logger: Logger; leaseMs: number }) {
    const { broker, clock, leaseMs, logger, name } = options
    this.name = name
    this.#clock = clock
    this.#logger = logger
    this.#leaseMs = leaseMs
    this.#claimsWake = broker.claimsWake
    this.#claimsMax = broker.claimsMax
    const operations = broker.operations(name, leaseTiming(leaseMs))
    this.#backend = operations
    this.#queue = new Queue(name, { connection: {}, streams: { events: { maxLen: eventsKept } } }, () => operations)
    this.#queue.on('error', (err) => this.#logger.warn({ queue: name, error: describeError(err) }, 'queue error'))
    const prefix = randomUUID()
    let made = 0
    const tokens = () => `${prefix}:${made++}`
    this.#exchange = new Exchange({ backend: operations, clock, queue: this.#queue, tokens })
    this.#waiter = new JobWaiter({ broker, clock, logger, queue: name, operations })
  }

  async ensure(): Promise<void> {
    await this.#call(() => this.#queue.waitUntilReady())
  }

  async send(items: readonly OutboundMessage[]): Promise<readonly ItemResult[]> {
    const results = new Map<OutboundMessage, ItemResult>()
    const fitting = items.filter(({ body }) => body.byteLength <= capabilities.bodyBytesMax)
    for (let from = 0; from < fitting.length; from += addSize) {
      const slice = fitting.slice(from, from + addSize)
      const jobs = slice.map((item) => ({ name: 'job', data: pack(item), opts: { delay: item.delayMs ?? 0 } }))
      try {
        const [first] = jobs
        // One job alone needs no transaction.
        if (first && jobs.length === 1) await this.#call(() => this.#queue.add(first.name, first.data, first.opts))
        else await this.#call(() => this.#queue.addBulk(jobs))
        for (const item of slice) results.set(item, { id: item.id, ok: true })
      } catch (err) {
        const error = toQueueError(err, this.name)
        for (const item of slice) results.set(item, { id: item.id, ok: false, error })
      }
    }
    return items.map((item) => {
      const error = () => bodyTooLarge(item.id, item.body.byteLength, capabilities.bodyBytesMax)
      return results.get(item) ?? { id: item.id, ok: false, error: error() }
    })
  }

  async receive(options: { max: number; waitMs: number; leaseMs: number; signal?: AbortSignal }) {
    this.#startStalledCheck()
    const deadline = this.#clock.now() + options.waitMs
    const most = Math.min(options.max, this.#claimsMax)
    let waited = false
    while (!this.#closing && !options.signal?.aborted) {
      const wakeUpLeft = this.#wakeUpLeft
      // With a wake-up left the wait returns at once: the look at what is there comes after it, once instead of twice.
      if (waited || !wakeUpLeft || options.waitMs <= 0) {
        // A job that came while this one waited is most often the only one: it is answered before asking for more.
        const max = waited && !wakeUpLeft ? Math.min(1, most) : most
        const leases = await this.#claim(max, options.leaseMs)
        this.#wakeUpLeft = this.#claimsWake && leases.length > 0 && leases.length < most
        if (leases.length > 0) return leases
      }
      const left = deadline - this.#clock.now()
      if (left <= 0) return []
      const due = this.#nextDelayed > 0 ? Math.max(1, this.#nextDelayed - this.#clock.now()) : left
      await this.#waiter.wait(Math.min(left, due), options.signal)
      waited = true
    }
    return []
  }

  ack(leases: readonly Lease[]): Promise<readonly ItemResult[]> {
    return Promise.all(
      leases.map(async (lease): Promise<ItemResult> => {
        try {
          await this.#settle(lease, (held) => this.#exchange.ack(held))
          return { id: lease.id, ok: true }
        } catch (err) {
          return { id: lease.id, ok: false, error: toQueueError(err, this.name) }
        }
      }),
    )
  }

  async nack(lease: Lease, options: { delayMs: number; counted?: boolean }): Promise<void> {
    const { counted = true, delayMs } = options
    await this.#settle(lease, async ({ job, token }) => {
      const id = String(job.id)
      if (counted && delayMs <= 0) return this.#backend.retryJob(id, false, token)
      await this.#backend.moveToDelayed(id, this.#clock.now(), delayMs, token, { skipAttempt: !counted })
    })
  }

  async extend(lease: Lease, leaseMs: number): Promise<number> {
    const from = this.#clock.now()
    const extended = await this.#withHeld(lease, ({ job, token }) =>
      this.#backend.extendLock(String(job.id), token, leaseMs),
    )
    if (Number(extended) !== 1) throw leaseLost(lease.id)
    lease.leaseUntil = from + leaseMs
    return lease.leaseUntil
  }

  async deadLetter(lease: Lease, reason: { code: string; detail?: string }): Promise<void> {
    const text = reason.detail === undefined ? reason.code : `${reason.code}: ${reason.detail}`
    await this.#settle(lease, ({ job, token }) => this.#backend.moveToFailed(job, text, deadKept, token, false))
  }

  async depth(): Promise<QueueDepth> {
    const asOf = this.#clock.now()
    const counts = await this.#call(() => this.#queue.getJobCounts('wait', 'active', 'delayed', 'failed'))
    const of = (state: string) => counts[state] ?? 0
    const visible = of('wait') + of('waiting')
    return { visible, inFlight: of('active'), delayed: of('delayed'), dead: of('failed'), asOf }
  }

  async redrive(options: { max: number }): Promise<{ moved: number }> {
    if (options.max <= 0) return { moved: 0 }
    const dead = await this.#call(() => this.#queue.getFailed(0, options.max - 1))
    for (const job of dead) {
      // Retrying resets BullMQ's count of attempts, but not that of stalls.
      if (job.stalledCounter > 0) await this.#call(() => job.updateData({ ...job.data, spent: job.stalledCounter }))
      await this.#call(() => job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true }))
    }
    return { moved: dead.length }
  }

  async purge(): Promise<void> {
    await this.#call(() => this.#queue.drain(true))
    while ((await this.#call(() => this.#queue.clean(0, 1_000, 'failed'))).length > 0) {}
  }

  async close(): Promise<void> {
    this.#closing ??= this.#drain()
    await this.#closing
  }

  async #drain(): Promise<void> {
    this.#stopStalledCheck?.()
    await this.#waiter.close()
    // On a connection that closes under it, a call would hang until its timeout; on one that never opens, for ever.
    const settled = new AbortController()
    const late = this.#clock.sleep(callsMsMax, settled.signal).catch(() => undefined)
    await Promise.race([Promise.allSettled(this.#calls), late])
    settled.abort()
  }

  /** Claims one job, and while there are more, ever more at once: an idle queue costs one round trip. */
  async #claim(max: number, leaseMs: number): Promise<Lease[]> {
    const leases: Lease[] = []
    while (leases.length < max) {
      const asked = Math.min(this.#claimsNext, max - leases.length)
      const claims = await Promise.allSettled(Array.from({ length: asked }, () => this.#claimOne(leaseMs)))
      const claimed = claims.flatMap((c) => (c.status === 'fulfilled' && c.value ? [c.value] : []))
      leases.push(...claimed)
      const found = claimed.length === asked
      this.#claimsNext = found ? Math.min(Math.max(this.#claimsNext, asked * 2), this.#claimsMax) : 1
      const failed = claims.find((c) => c.status === 'rejected')
      if (failed && leases.length === 0) throw failed.reason
      if (!found) break
    }
    return leases
  }

  async #claimOne(leaseMs: number): Promise<Lease | undefined> {
    const { held, nextDelayed, sentAt } = await this.#call(() => this.#exchange.claim())
    this.#nextDelayed = nextDelayed
    if (!held) return undefined
    const { job } = held
    const { attributes = {}, id, spent = 0 } = job.data
    const attempt = job.attemptsMade + job.stalledCounter - spent + 1
    const leaseUntil = sentAt + this.#leaseMs
    const lease: Lease = { id, body: unpackBody(job.data), attributes, attempt, enqueuedAt: job.timestamp, leaseUntil }
    this.#held.set(lease, held)
    if (leaseMs !== this.#leaseMs) await this.extend(lease, leaseMs)
    return lease
  }

  #startStalledCheck(): void {
    if (this.#closing) return
    let checking = false
    this.#stopStalledCheck ??= this.#clock.every(leaseTiming(this.#leaseMs).stalledCheckMs, () => {
      if (checking || this.#closing) return
      checking = true
      this.#call(() => this.#backend.moveStalledJobsToWait())
        .then((ids) => {
          if (ids.length > 0) this.#logger.info({ queue: this.name, jobs: ids.length }, 'lost leases recovered')
        })
        .catch((err: unknown) => {
          this.#logger.warn({ queue: this.name, error: describeError(err) }, 'lost leases could not be looked for')
        })
        .finally(() => {
          checking = false
        })
    })
  }

  async #settle(lease: Lease, act: (held: Held) => Promise<unknown>): Promise<void> {
    await this.#withHeld(lease, act)
    this.#held.delete(lease)
  }

  async #withHeld<R>(lease: Lease, act: (held: Held) => Promise<R>): Promise<R> {
    const held = this.#held.get(lease)
    if (!held) throw leaseLost(lease.id)
    try {
      return await this.#call(() => act(held))
    } catch (err) {
      throw isLockLost(err instanceof Error ? err.cause : err) ? leaseLost(lease.id, err) : err
    }
  }

  async #call<R>(act: () => Promise<R>): Promise<R> {
    // The Postgres backend leaves calls on a closed connection pending for ever.
    if (this.#closing) throw queueClosed(this.name)
    const call = act()
    this.#calls.add(call)
    try {
      return await call
    } catch (err) {
      throw toQueueError(err, this.name)
    } finally {
      this.#calls.delete(call)
    }
  }
}
