import { type InferenceEndpoint, type Lane, promptParameter } from '@forebay/contracts'
import { ForebayError } from '@forebay/kernel'
import { estimateOutputTokens, estimatePromptTokens } from '@forebay/tokens'
import { parseJsonText, textOf } from '../http/parse-json.ts'
import { findBadText } from '../http/text-rules.ts'
import { kindOf } from '../http/validator.ts'

/** What the gateway has to know of a real-time request; the rest is the engine's. */
export interface LiveBody {
  model: string
  lane: Lane
  stream: boolean
  /** The JSON text for the engine: the client's own bytes, but for the usage asked for in a stream. */
  text: string
  /** The usage chunk was asked for by the gateway alone: the client is not to see it. */
  hideUsage: boolean
  estTokens: number
  /** The client's body, parsed. */
  fields: object
  /** The client's body as it came. */
  given: string
}

/** Checks a real-time request's body. Unknown fields pass. Throws as OpenAI words it, naming the parameter. */
export function readLiveBody(endpoint: InferenceEndpoint, bytes: Buffer): LiveBody {
  const text = textOf(bytes)
  const body = parseJsonText(text)
  if (body === null || typeof body !== 'object' || Array.isArray(body)) {
    throw new ForebayError(
      'invalid_request',
      `The request body must be a JSON object, but got ${kindOf(body)} instead.`,
    )
  }
  // A lone surrogate can only be in valid UTF-8 as an escape.
  const bad = /\\ud[89a-f]/i.test(text) ? findBadText(body, { nul: 'allow' }) : undefined
  if (bad !== undefined) {
    const message = `Invalid '${bad}': it holds half a surrogate pair, which is no valid text.`
    throw new ForebayError('invalid_value', message, { param: bad })
  }
  const model = requiredField(body, 'model')
  if (typeof model !== 'string') throw wrongType('model', 'a string', model)
  const prompt = promptParameter[endpoint].name
  const input = requiredField(body, prompt)
  if (prompt === 'messages' && !Array.isArray(input)) throw wrongType('messages', 'an array of objects', input)

  const streamField = fieldOf(body, 'stream') ?? false
  if (typeof streamField !== 'boolean') throw wrongType('stream', 'a boolean', streamField)
  const stream = streamField && endpoint !== '/v1/embeddings'
  const options = fieldOf(body, 'stream_options') ?? undefined
  const hideUsage = stream && !asksForUsage(options)
  return {
    model,
    lane: laneOf(fieldOf(body, 'service_tier')),
    stream,
    text: hideUsage ? withUsage(text, body, options) : text,
    hideUsage,
    fields: body,
    given: text,
    estTokens:
      estimatePromptTokens(bytes.byteLength) + (endpoint === '/v1/embeddings' ? 0 : estimateOutputTokens(body)),
  }
}

function asksForUsage(options: unknown): boolean {
  return options !== null && typeof options === 'object' && 'include_usage' in options && options.include_usage === true
}

/** Asks for the usage chunk. Without stream_options the text is only added to, so every other byte stays as it was. */
function withUsage(text: string, body: object, options: unknown): string {
  if (options === undefined && !Object.hasOwn(body, 'stream_options')) {
    const end = text.lastIndexOf('}')
    return `${text.slice(0, end)},"stream_options":{"include_usage":true}${text.slice(end)}`
  }
  const given = options !== null && typeof options === 'object' ? options : {}
  return JSON.stringify({ ...body, stream_options: { ...given, include_usage: true } })
}

function laneOf(serviceTier: unknown): Lane {
  return serviceTier === 'flex' || serviceTier === 'batch' ? 'standard' : 'realtime'
}

function fieldOf(body: object, name: string): unknown {
  return Object.hasOwn(body, name) ? (body as Record<string, unknown>)[name] : undefined
}

function requiredField(body: object, name: string): unknown {
  const value = fieldOf(body, name) ?? undefined
  if (value !== undefined) return value
  throw new ForebayError('missing_required_parameter', `Missing required parameter: '${name}'.`, { param: name })
}

function wrongType(param: string, expected: string, value: unknown): ForebayError {
  const message = `Invalid type for '${param}': expected ${expected}, but got ${kindOf(value)} instead.`
  return new ForebayError('invalid_type', message, { param })
}
