import { type Answer, assembleStream, checkAnswer, readUsage } from '@forebay/answer-cache'
import type { InferenceEndpoint } from '@forebay/contracts'
import type { ReplyEvent } from '../live/live-call.ts'

/** Collects a call's reply as the engine sends it, so that it can be kept once it is whole. */
export interface AnswerRecorder {
  add(event: ReplyEvent): void
  /** The answer as it is kept; undefined for one that is not whole, was flagged or is too large. */
  answer(options: { requestId: string; modelVersion: string; nowMs: number }): Answer | undefined
}

/** A recorder for one call. It lets go of a reply of more than `bytesMax`. */
export function makeAnswerRecorder(options: {
  endpoint: InferenceEndpoint
  /** How many choices were asked for. */
  choices: number
  bytesMax: number
}): AnswerRecorder {
  const { endpoint } = options
  // A stream says the same with more words.
  const charactersMax = options.bytesMax * 16
  let head: Extract<ReplyEvent, { type: 'head' }> | undefined
  let end: Extract<ReplyEvent, { type: 'end' }> | undefined
  let texts: string[] = []
  let characters = 0
  return {
    add: (event) => {
      if (event.type === 'restart') {
        head = undefined
        texts = []
        characters = 0
      } else if (event.type === 'head') head = event
      else if (event.type === 'end') end = event
      else {
        characters += event.text.length
        if (characters <= charactersMax) texts.push(event.text)
        else texts = []
      }
    },
    answer: ({ requestId, modelVersion, nowMs }) => {
      if (head?.status !== 200 || !end || characters > charactersMax) return undefined
      const sent = texts.join('')
      const text = head.contentType.startsWith('text/event-stream') ? assembleStream(endpoint, sent) : sent
      if (text === undefined || checkAnswer(endpoint, text, options) !== undefined) return undefined
      const usage = end.usage ?? readUsage(text)
      return usage && { requestId, text, usage, modelVersion, storedAtMs: nowMs }
    },
  }
}
