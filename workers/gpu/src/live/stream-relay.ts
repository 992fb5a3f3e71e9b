import { StringDecoder } from 'node:string_decoder'
import type { StreamSink } from '../engine/engine-client.ts'
import type { Failure } from '../engine/outcome.ts'
import { type EventStream, followEventStream } from './event-stream.ts'
import type { ReplySender } from './reply-sender.ts'

const failures = {
  error: 'The engine failed while it answered.',
  aborted: 'The engine stopped the request half-way.',
} as const

/** Relays one engine stream to a reply, until its end or the first sign that it failed. */
export interface StreamRelay {
  readonly sink: StreamSink
  readonly events: EventStream
  /** Why it was cut short. */
  failure(): Failure | undefined
}

/** The head is sent with the first bytes, so that what fails before them can still be tried again. */
export function makeStreamRelay(options: {
  reply: ReplySender
  onFirstByte: () => void
  /** Called for every piece that came, first and later ones. */
  onProgress: () => void
}): StreamRelay {
  const { onFirstByte, onProgress, reply } = options
  const decoder = new StringDecoder('utf8')
  const events = followEventStream()
  let head = { status: 200, contentType: 'text/event-stream' }
  let begun = false
  let failure: Failure | undefined
  return {
    events,
    failure: () => failure,
    sink: {
      onHead(status, contentType) {
        head = { status, contentType }
      },
      onBytes(bytes) {
        const text = decoder.write(bytes)
        if (text === '') return true
        const verdict = events.feed(text)
        if (verdict !== 'fine') {
          failure = { kind: 'failure', reason: 'aborted', status: 502, message: failures[verdict] }
          return false
        }
        if (!begun) {
          begun = true
          onFirstByte()
          reply.send({ type: 'head', ...head })
        }
        onProgress()
        reply.send({ type: 'data', text })
        return true
      },
    },
  }
}
