import type { ReplyFrame } from '@forebay/contracts'
import { type ErrorCode, errorCodes, ForebayError } from '@forebay/kernel'

/** What the reply to a client is made of. `restart`: another attempt begins, what was collected so far is void. */
export type ReplyEvent = Extract<ReplyFrame, { type: 'head' | 'data' | 'end' }> | { type: 'restart' }

/** How a call acts on the world; all are told, none awaited. */
export interface CallActions {
  /** Puts an attempt's job on the queue; a failure comes back through `LiveCall.fail`. */
  send(attempt: number): void
  /** Tells the workers to drop an attempt: the client left, or another attempt takes its place. */
  cancel(attempt: number, reason: 'left' | 'superseded'): void
  /** An attempt was given up. */
  lost(attempt: number, reason: LossReason): void
  /** Chooses another pool for the next attempt; undefined when there is none. */
  otherPool(pool: string): string | undefined
}

/** Why an attempt was given up. */
export type LossReason = 'silent' | 'gap' | 'pool'

/** A call's times, in milliseconds. */
export const callLimits = {
  attemptsMax: 3,
  silentMs: 5_000,
  noWorkerMs: 5_000,
  lastWordMs: 500,
  backlogMax: 16 * 1024 * 1024,
} as const

/** What is known of a pool's workers (epoch ms; long ago when never). */
export interface PoolSigns {
  /** When a live one was last heard of. */
  heardMs: number
  /** When one was last alive that fell silent since. */
  lostMs: number
}

/**
 * One real-time request that waits for its reply. Pure but for its actions: time comes in by `check`.
 *
 *   queued ──first frame──▶ running ──end──▶ over
 *     ▲ │ a worker of the pool lost    │ silent for 5 s, or a frame missing
 *     └─┴──────── next attempt ◀───────┘ (at most 3, and only until the client saw a byte; then the call fails)
 *
 * A worker says nothing of a request that it has for less than a quarter of a second, so one that is lost may have
 * had any that is queued. A pool that has no worker, or whose engine is down, loses the attempt to another pool, if there is one.
 */
export class LiveCall {
  readonly requestId: string
  #pool: string
  readonly #startedMs: number
  readonly #deadlineMs: number
  readonly #actions: CallActions
  #attempt = 1
  #seq = 0
  #state: 'queued' | 'running' | 'over' = 'queued'
  #attemptStartedMs: number
  #heardMs: number
  #committed = false
  #events: ReplyEvent[] = []
  #backlog = 0
  #failure: unknown
  #wake: (() => void) | undefined

  constructor(options: { requestId: string; pool: string; nowMs: number; deadlineMs: number; actions: CallActions }) {
    this.requestId = options.requestId
    this.#pool = options.pool
    this.#startedMs = options.nowMs
    this.#attemptStartedMs = options.nowMs
    this.#heardMs = options.nowMs
    this.#deadlineMs = options.deadlineMs
    this.#actions = options.actions
  }

  /** Where its attempt went. */
  get pool(): string {
    return this.#pool
  }

  get attempt(): number {
    return this.#attempt
  }

  /** True once ended, failed or cancelled. */
  get over(): boolean {
    return this.#state === 'over'
  }

  /** Before its next attempt: away from a pool that failed it. False when there is no other. */
  move(): boolean {
    const other = this.over ? undefined : this.#actions.otherPool(this.#pool)
    if (other === undefined) return false
    this.#pool = other
    return true
  }

  /** From here on the client has seen bytes: no other attempt is possible. */
  commit(): void {
    this.#committed = true
  }

  /** The next event in order. Rejects with the call's failure, after the events before it. */
  async next(): Promise<ReplyEvent> {
    for (;;) {
      const event = this.#events.shift()
      if (event) {
        if (event.type === 'data') this.#backlog -= event.text.length
        return event
      }
      if (this.#failure !== undefined) throw this.#failure
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Takes a frame of this request. False when it is of an attempt that nobody waits for. */
  take(frame: ReplyFrame, nowMs: number): boolean {
    if (this.over || frame.attempt !== this.#attempt) return false
    if (frame.seq !== this.#seq) {
      this.#lose('gap', nowMs)
      return true
    }
    this.#seq++
    this.#heardMs = nowMs
    this.#state = 'running'
    switch (frame.type) {
      case 'accepted':
      case 'alive':
        break
      case 'error':
        if (frame.code !== 'unavailable' || !this.#leavePool(nowMs)) this.fail(errorOf(frame))
        break
      case 'data':
        this.#backlog += frame.text.length
        if (this.#backlog > callLimits.backlogMax && this.#committed) {
          this.#actions.cancel(this.#attempt, 'left')
          this.fail(new ForebayError('client_closed', 'The client reads its stream too slowly.'))
          break
        }
        this.#push(frame)
        break
      default:
        this.#push(frame)
        if (frame.type === 'end') this.#state = 'over'
    }
    return true
  }

  /** Looks at the time: gives up a silent attempt, a pool without workers, and a call past its deadline. */
  check(nowMs: number, pool: PoolSigns): void {
    if (this.over) return
    // The worker that has it knows why it did not end, and says so at the deadline.
    const endMs = this.#deadlineMs + (this.#state === 'running' ? callLimits.lastWordMs : 0)
    if (nowMs >= endMs) {
      const waited = `${Math.round((this.#deadlineMs - this.#startedMs) / 1000)} s`
      this.#actions.cancel(this.#attempt, 'left')
      this.fail(
        this.#state === 'queued'
          ? new ForebayError('overloaded', `No worker was free to start the request within ${waited}. Please retry.`, {
              retryAfterMs: callLimits.noWorkerMs,
            })
          : new ForebayError('engine_timeout', `The request did not finish within ${waited} and was stopped.`),
      )
    } else if (this.#state === 'running' && nowMs - this.#heardMs >= callLimits.silentMs) {
      this.#lose('silent', nowMs)
    } else if (
      this.#state === 'queued' &&
      nowMs - Math.max(pool.heardMs, this.#attemptStartedMs) >= callLimits.noWorkerMs
    ) {
      if (this.#leavePool(nowMs)) return
      this.#actions.cancel(this.#attempt, 'left')
      this.fail(
        new ForebayError(
          'overloaded',
          `No worker of the pool '${this.#pool}', which serves this model, is running right now. Please retry shortly.`,
          { retryAfterMs: callLimits.noWorkerMs },
        ),
      )
    } else if (this.#state === 'queued' && this.#attemptStartedMs <= pool.lostMs) {
      this.#lose('silent', nowMs)
    }
  }

  /** The client left, or the gateway stops: the workers are told at once. */
  cancel(reason: ForebayError): void {
    if (this.over) return
    this.#actions.cancel(this.#attempt, 'left')
    this.#events = []
    this.fail(reason)
  }

  /** Ends the call with a failure. */
  fail(reason: unknown): void {
    if (this.over) return
    this.#state = 'over'
    this.#failure = reason
    this.#wake?.()
  }

  #leavePool(nowMs: number): boolean {
    if (this.#committed || this.#attempt >= callLimits.attemptsMax || !this.move()) return false
    this.#lose('pool', nowMs)
    return true
  }

  #lose(reason: LossReason, nowMs: number): void {
    this.#actions.cancel(this.#attempt, this.#committed ? 'left' : 'superseded')
    this.#actions.lost(this.#attempt, reason)
    if (this.#committed) {
      this.fail(
        new ForebayError('engine_error', 'The worker that ran the request was lost after its answer had begun.'),
      )
      return
    }
    if (this.#attempt >= callLimits.attemptsMax) {
      const text = `The request was lost by ${this.#attempt} workers one after another. Please retry.`
      this.fail(new ForebayError('engine_error', text))
      return
    }
    this.#attempt++
    this.#seq = 0
    this.#state = 'queued'
    this.#attemptStartedMs = nowMs
    this.#heardMs = nowMs
    this.#events = [{ type: 'restart' }]
    this.#backlog = 0
    this.#wake?.()
    this.#actions.send(this.#attempt)
  }

  #push(event: ReplyEvent): void {
    this.#events.push(event)
    this.#wake?.()
  }
}

function errorOf(frame: Extract<ReplyFrame, { type: 'error' }>): ForebayError {
  const fallback = frame.status < 500 ? 'invalid_request' : 'engine_error'
  const code = Object.hasOwn(errorCodes, frame.code) ? (frame.code as ErrorCode) : fallback
  return new ForebayError(code, frame.message, {
    status: frame.status,
    ...(frame.retryAfterMs === undefined ? {} : { retryAfterMs: frame.retryAfterMs }),
  })
}
