import type { ReplyFrame, RequestJob } from '@forebay/contracts'
import { type Clock, describeError, type Logger } from '@forebay/kernel'
import type { ReplyBus } from '@forebay/reply-bus'

type Payload<F> = F extends ReplyFrame ? Omit<F, 'requestId' | 'attempt' | 'seq'> : never

/** Sends the frames of one reply, numbered without gaps. */
export interface ReplySender {
  /** The frame becomes the sender's: what numbers it is put into it. */
  send(frame: Payload<ReplyFrame>): void
  /** Sends `accepted` if nothing was sent in the first quarter of a second, then `alive` if nothing was for a second. */
  keepAlive(): void
}

// Most answers begin before, and tell by that who has the request.
const acceptedAfterMs = 200
const aliveAfterMs = 1_000

/** What a reply sender needs. */
interface ReplySenderOptions {
  bus: Pick<ReplyBus, 'send'>
  job: RequestJob
  workerId: string
  clock: Clock
  logger: Logger
}

/** A frame that the bus cannot take is lost: the gateway sees the gap in the numbers. */
export function makeReplySender(options: ReplySenderOptions): ReplySender {
  return new BusReplySender(options)
}

// A class, for there is one for each request, and an object costs less than closures.
class BusReplySender implements ReplySender {
  readonly #options: ReplySenderOptions
  #seq = 0
  #sentAtMs: number
  #troubled = false
  #last: Promise<void> | undefined

  constructor(options: ReplySenderOptions) {
    this.#options = options
    this.#sentAtMs = options.clock.now()
  }

  send(frame: Payload<ReplyFrame>): void {
    const { bus, clock, job } = this.#options
    const { attempt, replyTo, requestId } = job
    this.#sentAtMs = clock.now()
    // Into the frame itself: there are several shapes, and a copy of each costs more than all else here.
    const numbered = frame as ReplyFrame
    numbered.requestId = requestId
    numbered.attempt = attempt
    numbered.seq = this.#seq++
    const sent = bus.send(replyTo, numbered)
    // Frames that travel together have one promise.
    if (sent !== this.#last) sent.catch((err: unknown) => this.#failed(err))
    this.#last = sent
  }

  keepAlive(): void {
    const silentMs = this.#options.clock.now() - this.#sentAtMs
    if (this.#seq === 0 && silentMs >= acceptedAfterMs)
      this.send({ type: 'accepted', workerId: this.#options.workerId })
    else if (silentMs >= aliveAfterMs) this.send({ type: 'alive' })
  }

  #failed(err: unknown): void {
    const { job, logger } = this.#options
    if (!this.#troubled) logger.warn({ requestId: job.requestId, error: describeError(err) }, 'reply could not be sent')
    this.#troubled = true
  }
}
