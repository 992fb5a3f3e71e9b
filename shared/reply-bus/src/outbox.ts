import type { ReplyFrame } from '@forebay/contracts'

/** Gathers frames for inboxes into messages. */
export interface Outbox {
  /** Resolves, or rejects, as the message does that the frame went with. */
  send(inbox: string, frame: ReplyFrame): Promise<void>
  /** Resolves when what was taken so far was sent, or could not be. */
  settled(): Promise<void>
}

/**
 * Frames for one inbox that are sent in one turn of the event loop travel as one message: publishing is most of what a
 * frame costs. The first in a turn that ends a reply takes those before it along and does not wait for others, for its
 * client does. The frames of an inbox keep their order.
 */
export function makeOutbox(publish: (inbox: string, frames: readonly ReplyFrame[]) => Promise<void>): Outbox {
  const waiting = new Map<string, Message>()
  let hurried = false
  const flush = (inbox: string, message: Message) => {
    if (waiting.get(inbox) !== message) return
    waiting.delete(inbox)
    message.follow(publish(inbox, message.frames))
  }
  const messageFor = (inbox: string): Message => {
    const known = waiting.get(inbox)
    if (known) return known
    const message = new Message()
    waiting.set(inbox, message)
    setImmediate(() => flush(inbox, message))
    return message
  }
  return {
    send(inbox, frame) {
      const message = messageFor(inbox)
      message.frames.push(frame)
      if (!hurried && (frame.type === 'end' || frame.type === 'error')) {
        hurried = true
        setImmediate(() => {
          hurried = false
        })
        flush(inbox, message)
      }
      return message.sent
    },
    settled: async () => void (await Promise.allSettled([...waiting.values()].map(({ sent }) => sent))),
  }
}

/** What goes to one inbox next. */
class Message {
  readonly frames: ReplyFrame[] = []
  readonly sent: Promise<void>
  #resolve: () => void = noop
  #reject: (err: unknown) => void = noop

  constructor() {
    this.sent = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** Settles `sent` as the publishing ends. */
  follow(publishing: Promise<void>): void {
    publishing.then(this.#resolve, this.#reject)
  }
}

function noop(): void {}
