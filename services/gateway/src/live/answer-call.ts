import type { OutgoingHttpHeaders } from 'node:http'
import type { ReplyFrame, Usage } from '@forebay/contracts'
import { type Clock, ForebayError, toErrorBody } from '@forebay/kernel'
import type { FastifyReply } from 'fastify'
import type { AnswerRecorder } from '../cache/answer-recorder.ts'
import { asForebayError } from '../http/send-error.ts'
import type { LiveCall } from './live-call.ts'
import { eventWithCost, type ShownCost, withCost } from './shown-cost.ts'
import { cutSseEvents, isUsageChunk } from './sse-events.ts'
import { SseWriter } from './sse-writer.ts'

type Head = Extract<ReplyFrame, { type: 'head' }>

/** How a reply ended, and what the engine counted. */
export interface Answered {
  usage: Usage | null
  status: number
}

/**
 * Relays a call's reply to its client: an event stream event by event as they come, anything else whole. A failure
 * before the client saw a byte is thrown; a later one becomes an error event that ends the stream.
 */
export async function answerCall(options: {
  call: LiveCall
  reply: FastifyReply
  clock: Clock
  stream: boolean
  hideUsage: boolean
  /** Called once, at the first byte for the client. */
  onFirstByte: () => void
  /** Is told what the engine sent, as it sent it. */
  recorder?: Pick<AnswerRecorder, 'add'> | undefined
  /** What an answer of this usage costs, when its client wants to see that: the answer is then written anew with it. */
  costFor?: ((usage: Usage) => ShownCost) | undefined
}): Promise<Answered> {
  const { call, costFor, recorder, reply, stream } = options
  const writer = stream ? openWriter(reply, options.clock, options.onFirstByte) : undefined
  let events = cutSseEvents()
  let head: Head | undefined
  let collected: string[] = []
  try {
    for (;;) {
      const event = await call.next()
      recorder?.add(event)
      if (event.type === 'restart') {
        head = undefined
        collected = []
        events = cutSseEvents()
      } else if (event.type === 'head') {
        head = event
      } else if (event.type === 'data' && writer && isStream(head)) {
        const whole = events.push(event.text).filter((text) => !(options.hideUsage && isUsageChunk(text)))
        if (whole.length > 0) call.commit()
        if (whole.length > 0)
          await writer.write(
            whole.map((text) => (costFor && isUsageChunk(text) ? eventWithCost(text, costFor) : text)).join(''),
          )
      } else if (event.type === 'data') {
        collected.push(event.text)
      } else {
        const status = head?.status ?? 502
        if (writer && isStream(head)) await writer.write(events.rest())
        else if (writer?.open) await writer.write(errorEvent(collected.join('')))
        else {
          const body = collected.join('')
          sendWhole(reply, head, costFor && status < 300 ? withCost(body, costFor) : body, options.onFirstByte)
        }
        return { usage: event.usage, status }
      }
    }
  } catch (err) {
    if (!writer?.open) throw err
    const error = asForebayError(err)
    await writer.write(errorEvent(JSON.stringify(toErrorBody(error))))
    return { usage: null, status: error.status }
  } finally {
    writer?.end()
  }
}

function openWriter(reply: FastifyReply, clock: Clock, onFirstByte: () => void): SseWriter {
  return new SseWriter({
    response: reply.raw,
    clock,
    onOpen: () => {
      reply.hijack()
      onFirstByte()
      return reply.getHeaders() as OutgoingHttpHeaders
    },
  })
}

function isStream(head: Head | undefined): boolean {
  return head !== undefined && head.status < 300 && head.contentType.startsWith('text/event-stream')
}

function sendWhole(reply: FastifyReply, head: Head | undefined, body: string, onFirstByte: () => void): void {
  if (!head) throw new ForebayError('engine_error', 'The engine ended the request without an answer. Please retry.')
  onFirstByte()
  if (head.retryAfterMs !== undefined) {
    reply.headers({
      'retry-after': Math.max(1, Math.ceil(head.retryAfterMs / 1000)),
      'retry-after-ms': Math.ceil(head.retryAfterMs),
    })
  }
  // A text leaves with its headers in one write. It is sent as it is, and so is what it is said to be.
  reply.status(head.status).type(head.contentType).serializer(asIs).send(body)
}

function asIs(text: string): string {
  return text
}

/** An error within a stream, as OpenAI's SDKs know it. The text is an engine's or our own error body. */
function errorEvent(body: string): string {
  const line = body.replace(/\r?\n/g, ' ')
  return `data: ${line.includes('"error"') ? line : JSON.stringify({ error: { message: line, type: 'server_error', param: null, code: 'engine_error' } })}\n\n`
}
