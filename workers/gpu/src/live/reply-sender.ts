import type { ReplyFrame, RequestJob } from '@forebay/contracts'
import { type Clock, describeError, type Logger } from '@forebay/kernel'
import type { ReplyBus } from '@forebay/reply-bus'

type Payload<F> = F extends ReplyFrame ? Omit<F, 'requestId' | 'attempt' | 'seq'> : never

/** Sends the frames of one reply, numbered without gaps. */
export interface ReplySender {
  send(frame: Payload<ReplyFrame>): void
  /** Sends `accepted` if nothing was sent in the first quarter of a second, then `alive` if nothing was for a second. */
  keepAlive(): void
}

// Most answers begin before, and tell by that who has the request.
const acceptedAfterMs = 200
const aliveAfterMs = 1_000

/** A frame that the bus cannot take is lost: the gateway sees the gap in the numbers. */
export function makeReplySender(options: {
  bus: Pick<ReplyBus, 'send'>
  job: RequestJob
  workerId: string
  clock: Clock
  logger: Logger
}): ReplySender {
  const { workerId } = options
  const { attempt, replyTo, requestId } = options.job
  let seq = 0
  let sentAtMs = options.clock.now()
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
      const silentMs = options.clock.now() - sentAtMs
      if (seq === 0 && silentMs >= acceptedAfterMs) send({ type: 'accepted', workerId })
      else if (silentMs >= aliveAfterMs) send({ type: 'alive' })
    },
  }
}
