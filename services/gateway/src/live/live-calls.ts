import {
  type Control,
  queueName,
  type ReplyFrame,
  type RequestJob,
  type WorkJob,
  workJobSchema,
} from '@forebay/contracts'
import { type Clock, describeError, ForebayError, type Logger, newId, type Running } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import { bodiesIn, type JobSender, makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import type { ReplyBus } from '@forebay/reply-bus'
import { LRUCache } from 'lru-cache'
import type { GatewayMetrics } from '../metrics.ts'
import { type AttemptTools, CallAttempts, type LiveRequest, type OtherPool } from './call-attempts.ts'
import type { LiveCall, PoolSigns } from './live-call.ts'

const checkEveryMs = 250

/** This gateway's calls under way, its one inbox on the reply bus, and the clock that watches over them. */
export class LiveCalls implements Running {
  readonly #options: {
    bus: ReplyBus
    pools: Pools
    clock: Clock
    logger: Logger
    metrics: GatewayMetrics
    requestTimeoutMs: number
    poolSigns: (pool: string) => PoolSigns
  }
  readonly #inbox: string
  readonly #calls = new Map<string, LiveCall>()
  readonly #senders = new Map<string, Promise<JobSender<WorkJob>>>()
  /** When an attempt that nobody waits for was last told to stop, so that its many frames cause few notices. */
  readonly #told = new LRUCache<string, number>({ max: 1_000 })
  readonly #tools: AttemptTools = {
    send: (job) => this.#send(job),
    cancel: (requestId, attempt, reason) => this.#tell({ type: 'cancel-request', requestId, attempt, reason }),
    lost: ({ pool, requestId }, attempt, reason) => {
      this.#options.metrics.liveLost.inc({ reason })
      this.#options.logger.warn({ requestId, attempt, pool, reason }, 'attempt of a live request lost')
    },
  }
  #stopListening: (() => Promise<void>) | undefined
  #stopTimer: (() => void) | undefined

  constructor(options: {
    bus: ReplyBus
    pools: Pools
    clock: Clock
    logger: Logger
    metrics: GatewayMetrics
    /** Longest a call may take. */
    requestTimeoutMs: number
    poolSigns: (pool: string) => PoolSigns
  }) {
    this.#options = options
    this.#inbox = newId('gw-', options.clock.now())
  }

  async start(): Promise<void> {
    this.#stopListening ??= await this.#options.bus.receive(this.#inbox, (frame) => this.#onFrame(frame))
  }

  /** Looks at the time for as long as there are calls: a gateway without any is not woken for them. */
  #watch(): void {
    this.#stopTimer ??= this.#options.clock.every(checkEveryMs, () => this.#check())
  }

  #stopWatching(): void {
    this.#stopTimer?.()
    this.#stopTimer = undefined
  }

  /** Puts the request on its pool's queue, or another's, and answers the call that collects its reply. Throws `unavailable` when no such queue can be reached. */
  async open(request: LiveRequest, otherPool: OtherPool): Promise<LiveCall> {
    const { clock, metrics, requestTimeoutMs } = this.#options
    const nowMs = clock.now()
    const set = { replyTo: this.#inbox, acceptedAtMs: nowMs, deadlineMs: nowMs + requestTimeoutMs }
    const attempts = new CallAttempts({ request, otherPool, tools: this.#tools, set })
    const { call } = attempts
    this.#calls.set(request.requestId, call)
    this.#watch()
    metrics.liveInFlight.set(this.#calls.size)
    try {
      await attempts.begin(1)
    } catch (err) {
      this.close(call)
      throw err
    }
    return call
  }

  /** How many calls under way are at a pool. */
  inFlight(pool: string): number {
    let count = 0
    for (const call of this.#calls.values()) if (call.pool === pool) count++
    return count
  }

  /** Forgets a call; one that is not over is cancelled. */
  close(call: LiveCall): void {
    // Most are over, and an error with its stack is not made for nothing.
    if (!call.over) call.cancel(new ForebayError('client_closed', 'The client closed the connection.'))
    this.#calls.delete(call.requestId)
    this.#options.metrics.liveInFlight.set(this.#calls.size)
  }

  /** Fails every call under way, so that its client is told. */
  failAll(reason: ForebayError): void {
    for (const call of this.#calls.values()) call.cancel(reason)
  }

  async stop(): Promise<void> {
    this.#stopWatching()
    this.failAll(new ForebayError('unavailable', 'The server is shutting down. Please retry.', { retryAfterMs: 1000 }))
    await this.#stopListening?.()
    this.#stopListening = undefined
  }

  #onFrame(frame: ReplyFrame): void {
    const nowMs = this.#options.clock.now()
    if (this.#calls.get(frame.requestId)?.take(frame, nowMs)) return
    if (frame.type === 'end' || frame.type === 'error') return
    const name = `${frame.requestId}.${frame.attempt}`
    if (nowMs - (this.#told.get(name) ?? Number.NEGATIVE_INFINITY) < 1_000) return
    this.#told.set(name, nowMs)
    this.#tell({ type: 'cancel-request', requestId: frame.requestId, attempt: frame.attempt, reason: 'superseded' })
  }

  #check(): void {
    const nowMs = this.#options.clock.now()
    for (const call of this.#calls.values()) call.check(nowMs, this.#options.poolSigns(call.pool))
    if (this.#calls.size === 0) this.#stopWatching()
  }

  #tell(message: Control): void {
    this.#options.bus
      .control(message)
      .catch((err: unknown) => this.#options.logger.warn({ reason: describeError(err) }, 'cancel not sent'))
  }

  async #send(job: RequestJob): Promise<void> {
    const name = queueName(job.pool, job.lane)
    const sender = await this.#senderOf(job.pool, name)
    const [result] = await sender.send([{ id: `${job.requestId}.${job.attempt}`, job, fairnessKey: job.tenantId }])
    if (result?.ok) return
    if (result?.error.code === 'queue_too_large') {
      throw new ForebayError('payload_too_large', 'The body of your request is larger than the queue takes.')
    }
    throw new ForebayError('unavailable', 'The queue cannot be reached right now. Please retry.', {
      cause: result?.error,
      retryAfterMs: 1000,
    })
  }

  #senderOf(pool: string, name: string): Promise<JobSender<WorkJob>> {
    const known = this.#senders.get(name)
    if (known) return known
    const open = async () => {
      const driver = (await this.#options.pools.queues(pool)).queue(name)
      await driver.ensure()
      // Its workers look there for what is larger than its broker takes.
      const bodies = bodiesIn(this.#options.pools.blobs(pool))
      return makeJobSender({ driver, codec: makeJsonCodec(workJobSchema), bodies, clock: this.#options.clock })
    }
    const opened = open()
    this.#senders.set(name, opened)
    opened.catch(() => this.#senders.delete(name))
    return opened
  }
}
