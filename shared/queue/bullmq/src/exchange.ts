import type { Clock } from '@forebay/kernel'
import { type IQueueBackend, Job, type JobJson, type Queue } from 'bullmq'
import type { Envelope } from './envelope.ts'

/** A job this process holds, and the token its lock carries. */
export interface Held {
  readonly job: Job<Envelope>
  readonly token: string
}

/** What one claim found. */
interface Claimed {
  readonly held: Held | undefined
  /** When the claim was sent, in milliseconds since the epoch: the lease runs from then. */
  readonly sentAt: number
  /** When the next delayed job falls due, 0 when there is none. */
  readonly nextDelayed: number
}

interface Waiting<T> {
  resolve(value: T): void
  reject(err: unknown): void
}

interface Ack extends Waiting<void> {
  readonly held: Held
}

/**
 * Sends the acknowledgements and claims of one turn of the event loop together, and lets an acknowledgement bring back
 * the job that a claim of the same turn asks for: one script, or one transaction, where two would run. Nothing is
 * claimed that was not asked for.
 */
export class Exchange {
  readonly #backend: IQueueBackend
  readonly #clock: Clock
  readonly #queue: Parameters<typeof Job.fromJSON<Envelope>>[0]
  readonly #tokens: () => string
  #acks: Ack[] = []
  #claims: Waiting<Claimed>[] = []

  constructor(options: {
    backend: IQueueBackend
    clock: Clock
    queue: Queue<Envelope, unknown, string, Envelope, unknown, string, IQueueBackend>
    tokens: () => string
  }) {
    this.#backend = options.backend
    this.#clock = options.clock
    this.#queue = options.queue
    this.#tokens = options.tokens
  }

  /** Removes a held job. Rejects with BullMQ's error when its lock is lost. */
  ack(held: Held): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#schedule()
      this.#acks.push({ held, resolve, reject })
    })
  }

  /** Claims one job, if there is one. */
  claim(): Promise<Claimed> {
    return new Promise((resolve, reject) => {
      this.#schedule()
      this.#claims.push({ resolve, reject })
    })
  }

  #schedule(): void {
    if (this.#acks.length === 0 && this.#claims.length === 0) setImmediate(() => this.#flush())
  }

  #flush(): void {
    const [acks, claims] = [this.#acks, this.#claims]
    this.#acks = []
    this.#claims = []
    for (const [i, ack] of acks.entries()) void this.#complete(ack, claims[i])
    for (const claim of claims.slice(acks.length)) void this.#claimAlone(claim)
  }

  /** The claimed job's lock carries the token of the job that made room for it, which is free by then. */
  async #complete(ack: Ack, claim: Waiting<Claimed> | undefined): Promise<void> {
    const { job, token } = ack.held
    const sentAt = this.#clock.now()
    try {
      const { result } = await this.#backend.moveToCompleted(job, null, true, token, claim !== undefined)
      ack.resolve()
      claim?.resolve(this.#claimed(result, { token, sentAt }))
    } catch (err) {
      ack.reject(err)
      // A job that was lost brings no other.
      if (claim) await this.#claimAlone(claim)
    }
  }

  async #claimAlone(claim: Waiting<Claimed>): Promise<void> {
    const token = this.#tokens()
    const sentAt = this.#clock.now()
    try {
      claim.resolve(this.#claimed(await this.#backend.moveToActive(token), { token, sentAt }))
    } catch (err) {
      claim.reject(err)
    }
  }

  /** Reads BullMQ's untyped tuple [job, id, rate limit delay, next delayed time]. */
  #claimed(raw: unknown, claim: { token: string; sentAt: number }): Claimed {
    const [json, id, , next] = Array.isArray(raw) ? (raw as readonly unknown[]) : []
    const nextDelayed = Number(next ?? 0) || 0
    if (!isJobJson(json)) return { held: undefined, sentAt: claim.sentAt, nextDelayed }
    const job = Job.fromJSON<Envelope>(this.#queue, json, String(id ?? ''))
    return { held: { job, token: claim.token }, sentAt: claim.sentAt, nextDelayed }
  }
}

function isJobJson(value: unknown): value is JobJson {
  return typeof value === 'object' && value !== null && 'data' in value
}
