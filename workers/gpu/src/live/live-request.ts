import { hash } from 'node:crypto'
import type { RequestJob, RequestResult, Usage } from '@forebay/contracts'
import { estimatePromptTokens } from '@forebay/tokens'
import { countEnd } from '../count-end.ts'
import type { CallSignal } from '../engine/call-abort.ts'
import { type Answer, type Failure, lastAnswer, noUsage } from '../engine/outcome.ts'
import type { AttemptEnd, Task } from '../task.ts'
import type { WorkerTools } from '../tools.ts'
import type { EventStream } from './event-stream.ts'
import type { ReplySender } from './reply-sender.ts'
import { makeStreamRelay } from './stream-relay.ts'

/**
 * Why a real-time request is given up. `superseded` and `lost`: another attempt of it runs elsewhere, so nothing is
 * said of this one.
 */
export type GiveUp = 'cancelled' | 'deadline' | 'drain' | 'engine down' | 'superseded' | 'lost'

/** What a LiveRequest needs of them. */
export type LiveTools = Omit<WorkerTools, 'workerId' | 'flusher' | 'onFree' | 'dispatcher'> & {
  readonly dispatcher: Pick<WorkerTools['dispatcher'], 'has' | 'drop' | 'progressed'>
}

/** How one ended: its result, or undefined when there is nothing to record. */
export type LiveEnd = RequestResult | undefined

const errors = {
  full: {
    status: 503,
    code: 'overloaded',
    message: 'The model server had no room for the request in time. Please retry.',
  },
  deadline: { status: 408, code: 'timeout', message: 'The request ran out of time. Retry it, or allow more time.' },
  drain: { status: 503, code: 'unavailable', message: 'The worker is being stopped. Please retry.' },
  'engine down': { status: 503, code: 'unavailable', message: 'The model server is not available. Please retry.' },
} as const

/** A real-time request as a task: its answer goes to the waiting gateway as it comes. `onEnd` is called once. */
export class LiveRequest implements Task {
  readonly id: string
  readonly lane
  readonly model
  readonly batchId = null
  readonly prefixGroup = 0
  readonly suspicion = 0
  readonly bytes: number
  readonly estTokens: number
  readonly deadlineMs: number
  readonly streams: boolean
  readonly job: RequestJob
  readonly #body: Buffer
  readonly #tools: LiveTools
  readonly #reply: ReplySender
  readonly #onEnd: (end: LiveEnd) => void
  #giveUp: GiveUp | undefined
  readonly #receivedAtMs: number
  #admittedMs: number | undefined
  #startedMs: number | undefined
  #firstByteMs: number | undefined
  #events: EventStream | undefined

  constructor(options: {
    id: string
    job: RequestJob
    tools: LiveTools
    reply: ReplySender
    onEnd: (end: LiveEnd) => void
  }) {
    const { job } = options
    this.id = options.id
    this.job = job
    this.lane = job.lane
    this.model = job.model
    this.#body = Buffer.from(job.body)
    this.bytes = this.#body.length
    this.estTokens = job.estTokens
    this.deadlineMs = job.deadlineMs
    this.streams = job.stream
    this.#tools = options.tools
    this.#reply = options.reply
    this.#onEnd = options.onEnd
    this.#receivedAtMs = options.tools.clock.now()
  }

  /** True once the client has been sent something of the answer: it cannot be begun again. */
  get hasBegun(): boolean {
    return this.#firstByteMs !== undefined
  }

  keepAlive(): void {
    this.#reply.keepAlive()
  }

  /** It was here in time, and most of its time went by before it got a seat. */
  get #waited(): boolean {
    if (this.#receivedAtMs >= this.deadlineMs || this.hasBegun) return false
    if (this.#admittedMs === undefined) return true
    return this.#admittedMs - this.job.acceptedAtMs > this.#tools.clock.now() - this.#admittedMs
  }

  /** Ends it early, cutting the engine request if it runs. */
  abandon(reason: GiveUp): void {
    this.#giveUp ??= reason
    if (this.#tools.dispatcher.has(this.id)) this.#tools.dispatcher.drop(this.id, { abort: true })
    else this.dropped()
  }

  async attempt(signal: CallSignal, attemptsBefore: number): Promise<AttemptEnd> {
    const { batcher, client, clock, limits } = this.#tools
    this.#startedMs = clock.now()
    this.#admittedMs ??= this.#startedMs
    const expected = batcher.estimate(this)
    const times = { limitMs: limits.limitMs(expected, attemptsBefore), outputTokens: expected.outputTokensMost }
    const { deadlineMs, endpoint, lane, requestId, tenantId } = this.job
    const { model } = this.job
    const call = { requestId, path: endpoint, body: this.#body, model, lane, tenantId, deadlineMs, ...times, signal }
    try {
      if (!this.job.stream) return this.#whole(await client.call(call))
      const relay = makeStreamRelay({
        reply: this.#reply,
        onFirstByte: () => this.#markFirstByte(),
        onProgress: () => this.#tools.dispatcher.progressed(this.id),
      })
      this.#events = relay.events
      const end = await client.stream(call, relay.sink)
      const failure = relay.failure()
      if (end.kind === 'answer') return this.#whole(end)
      if (end.kind === 'failure') return this.#failed(end)
      return failure ? this.#failed(failure) : this.#streamed(relay.events)
    } catch (err) {
      // Cut by the dispatcher. If the client has seen a part and did not leave, it must be told.
      if (!this.hasBegun || this.#giveUp) throw err
      return this.#failed({ kind: 'failure', reason: 'lost', status: 502, message: 'The engine stopped half-way.' })
    }
  }

  fail(failure: Failure): void {
    if (failure.reason === 'full') {
      this.#abort('full', failure.retryAfterMs)
      return
    }
    const answer = lastAnswer(failure)
    this.#relay(answer, failure.retryAfterMs)
    this.#end('failed', answer.status, answer.errorCode, answer.usage)
  }

  dropped(): void {
    const reason = this.#giveUp ?? 'drain'
    // Cancelled before the first byte: nothing was spent that we know of, and the gateway may have cancelled this
    // attempt for another, whose result must not find this one's in its place.
    const silent = reason === 'superseded' || reason === 'lost' || (reason === 'cancelled' && !this.hasBegun)
    if (silent) this.#onEnd(undefined)
    else if (reason === 'cancelled') this.#end('cancelled', 499, 'client_closed', this.#usageSoFar())
    else this.#abort(reason === 'deadline' && this.#waited ? 'full' : reason)
  }

  #abort(reason: keyof typeof errors, retryAfterMs = 1_000): void {
    const { code, message, status } = errors[reason]
    this.#reply.send({ type: 'error', status, code, message, ...(status === 503 ? { retryAfterMs } : {}) })
    this.#end('failed', status, code, this.hasBegun ? this.#usageSoFar() : noUsage)
  }

  #whole(answer: Answer | Failure): AttemptEnd {
    if (answer.kind === 'failure') return answer
    const succeeded = answer.status < 300
    if (succeeded) this.#learn(answer.usage)
    this.#relay(answer, undefined)
    this.#end(succeeded ? 'succeeded' : 'failed', answer.status, answer.errorCode, answer.usage)
    return { kind: 'ended', usage: succeeded ? answer.usage : null }
  }

  #streamed(events: EventStream): AttemptEnd {
    const usage = events.usage ?? this.#usageSoFar()
    this.#learn(usage)
    this.#reply.send({ type: 'end', usage: events.usage ?? null })
    this.#end('succeeded', 200, null, usage)
    return { kind: 'ended', usage }
  }

  /** Before the first byte another attempt may follow; after it the client is told, and that is the end. */
  #failed(failure: Failure): AttemptEnd {
    if (!this.hasBegun) return failure
    const { message, status } = failure
    this.#reply.send({ type: 'error', status, code: 'engine_error', message })
    this.#end('failed', status, 'engine_error', this.#usageSoFar())
    return { kind: 'ended', usage: null }
  }

  #relay(answer: Answer, retryAfterMs: number | undefined): void {
    const { body, contentType, status, usage } = answer
    this.#markFirstByte()
    this.#reply.send({ type: 'head', status, contentType, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) })
    this.#reply.send({ type: 'data', text: body.toString() })
    this.#reply.send({ type: 'end', usage: status < 300 ? usage : null })
  }

  #markFirstByte(): void {
    if (this.#firstByteMs !== undefined) return
    this.#firstByteMs = this.#tools.clock.now()
    if (this.job.stream) this.#tools.meter.firstToken(this.id, this.#firstByteMs)
  }

  #learn(usage: Usage): void {
    this.#tools.limits.learn(this.#tools.clock.now() - (this.#startedMs ?? 0), usage)
  }

  /** What was used by a stream that did not come to its usage chunk: the prompt as estimated, a token per event. */
  #usageSoFar(): Usage {
    const events = this.#events
    if (events?.usage) return events.usage
    return { ...noUsage, promptTokens: estimatePromptTokens(this.bytes), completionTokens: events?.chunks ?? 0 }
  }

  #end(outcome: RequestResult['outcome'], statusCode: number, errorCode: string | null, usage: Usage): void {
    const { clock, labels, meter, metrics, throughput } = this.#tools
    const { job } = this
    const nowMs = clock.now()
    throughput.add(usage)
    const startedMs = this.#startedMs ?? nowMs
    const firstTokenMs = this.#firstByteMs === undefined ? null : Math.max(0, Math.round(this.#firstByteMs - startedMs))
    countEnd(metrics, {
      ...{ labels: labels(job.model), lane: job.lane, outcome, completionTokens: usage.completionTokens },
      ...{ receivedAtMs: this.#receivedAtMs, startedMs: this.#startedMs, nowMs },
      firstTokenMs: job.stream ? firstTokenMs : null,
    })
    this.#onEnd({
      requestId: job.requestId,
      tenantId: job.tenantId,
      apiKeyId: job.apiKeyId,
      batchId: null,
      line: null,
      chunk: null,
      customId: null,
      endpoint: job.endpoint,
      model: job.model,
      pool: job.pool,
      lane: job.lane,
      attempt: job.attempt,
      outcome,
      statusCode,
      errorCode,
      usage,
      queuedMs: Math.max(0, Math.round(startedMs - job.acceptedAtMs)),
      firstTokenMs,
      durationMs: Math.max(0, Math.round(nowMs - startedMs)),
      finishedAtMs: nowMs,
      batcherMs: Math.max(0, Math.round((this.#admittedMs ?? nowMs) - this.#receivedAtMs)),
      source: 'engine',
      gpuMs: meter.settle(this.id, outcome === 'succeeded' ? usage : null, nowMs) / 1000,
      modelVersion: this.#tools.modelVersion(job.model),
      bodyHash: hash('sha256', this.#body, 'hex'),
      requestBytes: null,
      bytes: null,
      ...(job.route === undefined ? {} : { route: job.route }),
      ...(job.holds ? { holds: job.holds } : {}),
      ...(job.endUser === undefined ? {} : { endUser: job.endUser }),
    })
  }
}
