import type { RequestJob } from '@forebay/contracts'
import { isForebayError } from '@forebay/kernel'
import { type CallActions, LiveCall, type LossReason } from './live-call.ts'

/** A request to run: the job without what the attempts set. */
export type LiveRequest = Omit<RequestJob, 'v' | 'kind' | 'attempt' | 'replyTo' | 'acceptedAtMs' | 'deadlineMs'>

/** Another open pool for a request than those that failed it; undefined when there is none. */
export type OtherPool = (tried: ReadonlySet<string>) => string | undefined

/** What attempts do to the world, for all calls of a gateway. */
export interface AttemptTools {
  /** Puts a job on its pool's queue. Rejects with `unavailable` when that cannot be reached. */
  send(job: RequestJob): Promise<void>
  cancel(requestId: string, attempt: number, reason: 'left' | 'superseded'): void
  lost(call: LiveCall, attempt: number, reason: LossReason): void
}

/** The attempts of one call. A class, for there is one for each request, and an object costs less than closures. */
export class CallAttempts implements CallActions {
  readonly call: LiveCall
  readonly #request: LiveRequest
  readonly #otherPool: OtherPool
  readonly #tools: AttemptTools
  readonly #set: Pick<RequestJob, 'replyTo' | 'acceptedAtMs' | 'deadlineMs'>
  #tried: Set<string> | undefined

  constructor(options: {
    request: LiveRequest
    otherPool: OtherPool
    tools: AttemptTools
    set: Pick<RequestJob, 'replyTo' | 'acceptedAtMs' | 'deadlineMs'>
  }) {
    const { request, set } = options
    this.#request = request
    this.#otherPool = options.otherPool
    this.#tools = options.tools
    this.#set = set
    const { pool, requestId } = request
    this.call = new LiveCall({
      ...{ requestId, pool, nowMs: set.acceptedAtMs, deadlineMs: set.deadlineMs },
      actions: this,
    })
  }

  /** Puts an attempt's job on its pool's queue, or another's. Rejects with `unavailable` when no such queue can be reached. */
  async begin(attempt: number): Promise<void> {
    const { call } = this
    try {
      await this.#tools.send(this.#job(attempt))
    } catch (err) {
      if (!isForebayError(err) || err.code !== 'unavailable' || call.attempt !== attempt || !call.move()) throw err
      await this.begin(attempt)
    }
  }

  send(attempt: number): void {
    this.begin(attempt).catch((err: unknown) => this.call.fail(err))
  }

  cancel(attempt: number, reason: 'left' | 'superseded'): void {
    this.#tools.cancel(this.#request.requestId, attempt, reason)
  }

  lost(attempt: number, reason: LossReason): void {
    this.#tools.lost(this.call, attempt, reason)
  }

  otherPool(pool: string): string | undefined {
    this.#tried ??= new Set()
    return this.#otherPool(this.#tried.add(pool))
  }

  #job(attempt: number): RequestJob {
    const { pool } = this.call
    const request = this.#request
    const job = { v: 1, kind: 'request', ...request, pool, attempt, ...this.#set } as const
    return pool === request.pool ? job : { ...job, route: `${pool}: ${request.pool} failed the request before.` }
  }
}
