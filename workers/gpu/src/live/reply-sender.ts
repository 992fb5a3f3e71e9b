import type { ReplyFrame, RequestJob } from '@forebay/contracts'
import { type Clock, describeError, type Logger } from '@forebay/kernel'
import type { ReplyBus } from '@forebay/reply-bus'

type Payload<F> = F extends ReplyFrame ? Omit<F, 'requestId' | 'attempt' | 'seq'> : never

/** Sends the frames of one reply, numbered without gaps. */
export interface ReplySender {
  send(frame: Payload<ReplyFrame>): void
  /** Sends `alive` if nothing was sent for a second. */
  keepAlive(): void
}

/** A frame that the bus cannot take is lost: the gateway sees the gap in the numbers. */
export function makeReplySender(options: {
  bus: Pick<ReplyBus, 'send'>
  job: RequestJob
  clock: Clock
  logger: Logger
}): ReplySender {
  const { attempt, replyTo, requestId } = options.job
  let seq = 0
  let sentAtMs = 0
  let troubled = false
  const send = (frame: Payload<ReplyFrame>) => {
    sentAtMs = options.clock.now()
    options.bus.send(replyTo, { ...frame, requestId, attempt, seq: seq++ } as ReplyFrame).catch((err: unknown) => {
      if (!troubled) options.logger.warn({ requestId, error: describeError(err) }, 'reply could not be sent')
      troubled = true
    })
  }
  return {
    send,
    keepAlive() {
      if (options.clock.now() - sentAtMs >= 1_000) send({ type: 'alive' })
    },
  }
}
