import type { Usage } from '@forebay/contracts'
import { field, isAborted, usageOf } from '../engine/outcome.ts'

/** What a piece of an event stream turned out to hold. */
export type StreamVerdict = 'fine' | 'error' | 'aborted'

/** Follows an OpenAI event stream for its usage and for the failures that hide inside a 200. */
export interface EventStream {
  /** Takes the next piece of text, cut anywhere. */
  feed(text: string): StreamVerdict
  /** As the engine reported it last; undefined when it has not. */
  readonly usage: Usage | undefined
  /** Events with choices so far: about the output tokens. */
  readonly chunks: number
  /** The stream said that it is whole. */
  readonly done: boolean
}

// Parsing each event would cost more than relaying it: only those that can matter are.
const worthParsing = /"usage"\s*:\s*\{|"abort"|"error"\s*:/

/** Follows one stream from its start. */
export function followEventStream(): EventStream {
  let rest = ''
  let usage: Usage | undefined
  let chunks = 0
  let done = false

  function read(event: string): StreamVerdict {
    if (!event.startsWith('data:')) return 'fine'
    const data = event.slice(5).trim()
    if (data === '[DONE]') {
      done = true
      return 'fine'
    }
    if (data.includes('"choices":[{') || data.includes('"choices": [{')) chunks++
    if (!worthParsing.test(data)) return 'fine'
    let value: unknown
    try {
      value = JSON.parse(data)
    } catch {
      return 'fine'
    }
    usage = usageOf(value) ?? usage
    const error = field(value, 'error')
    if (error !== undefined && error !== null) return 'error'
    return isAborted(value) ? 'aborted' : 'fine'
  }

  return {
    feed(text) {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const verdict = read(line)
        if (verdict !== 'fine') return verdict
      }
      return 'fine'
    },
    get usage() {
      return usage
    },
    get chunks() {
      return chunks
    },
    get done() {
      return done
    },
  }
}
