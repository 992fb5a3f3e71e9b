import type { ReplySender } from './reply-sender.ts'

/** A live request's content that is to be kept. */
export interface KeptContent {
  readonly request: Buffer
  /** As the client got it: JSON, or an event stream. Empty when nothing was sent. */
  answer(): Buffer
}

/** Keeps what passes through `reply`. It is in memory until the request has ended. */
export function keepContent(body: string, reply: ReplySender): { content: KeptContent; reply: ReplySender } {
  const texts: string[] = []
  return {
    content: { request: Buffer.from(body), answer: () => Buffer.from(texts.join('')) },
    reply: {
      send(frame) {
        if (frame.type === 'data') texts.push(frame.text)
        reply.send(frame)
      },
      keepAlive: () => reply.keepAlive(),
    },
  }
}
