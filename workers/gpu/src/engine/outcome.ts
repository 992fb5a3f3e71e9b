import { isUtf8 } from 'node:buffer'
import type { Usage } from '@forebay/contracts'

/** The engine's last word on a request: 2xx, or a 4xx that another try would not change. */
export interface Answer {
  readonly kind: 'answer'
  readonly status: number
  readonly contentType: string
  /** JSON in UTF-8. */
  readonly body: Buffer
  readonly usage: Usage
  /** The body of a 2xx, parsed. */
  readonly parsed?: unknown
  /** The error code in the body of a 4xx. */
  readonly errorCode: string | null
}

/**
 * Why an attempt failed in a way that another may not.
 * `down`: the engine could not be reached, the request never got there. `lost`: the connection broke under it.
 * `timeout`: no byte for too long. `status`: the engine said so. `denied`: 401 or 403, its key is wrong.
 * `aborted`: the engine stopped in the middle and said 200. `garbled`: an answer that is no JSON. `full`: no seat in
 * time; never sent.
 */
export type FailureReason = 'down' | 'lost' | 'timeout' | 'status' | 'denied' | 'aborted' | 'garbled' | 'full'

/** An attempt that may be made again. */
export interface Failure {
  readonly kind: 'failure'
  readonly reason: FailureReason
  /** The HTTP status to show if no further attempt is made. */
  readonly status: number
  readonly message: string
  readonly retryAfterMs?: number
  /** The engine's own error body, when it is JSON. */
  readonly body?: Buffer
}

export const noUsage: Usage = { promptTokens: 0, cachedTokens: null, completionTokens: 0, reasoningTokens: 0 }

const retryableStatuses = new Set([408, 409, 425, 429])

/** True for statuses after which another attempt makes sense. */
export function isRetryableStatus(status: number): boolean {
  return (status >= 500 && status !== 501 && status !== 505) || retryableStatuses.has(status) || status < 400
}

/** Judges a whole answer. */
export function judge(response: {
  status: number
  contentType: string
  retryAfterMs: number | undefined
  body: Buffer
}): Answer | Failure {
  const { status, contentType, body } = response
  const parsed = parseJson(body)
  if (status >= 200 && status < 300) {
    if (contentType.startsWith('text/event-stream')) {
      return errorAnswer(400, 'invalid_request', 'A request that is not waited for cannot be streamed: drop "stream".')
    }
    if (parsed === undefined) {
      return { kind: 'failure', reason: 'garbled', status: 502, message: 'The engine answered with incomplete JSON.' }
    }
    if (isAborted(parsed)) {
      return { kind: 'failure', reason: 'aborted', status: 502, message: 'The engine stopped the request half-way.' }
    }
    return { kind: 'answer', status, contentType, body, usage: usageOf(parsed) ?? noUsage, parsed, errorCode: null }
  }
  if (status === 401 || status === 403 || isRetryableStatus(status)) {
    return {
      kind: 'failure',
      reason: status === 401 || status === 403 ? 'denied' : 'status',
      status: status < 400 ? 502 : status,
      message: `The engine answered with status ${status}.`,
      ...(response.retryAfterMs === undefined ? {} : { retryAfterMs: response.retryAfterMs }),
      ...(parsed === undefined ? {} : { body }),
    }
  }
  if (parsed === undefined) return errorAnswer(status, null, `The engine refused the request with status ${status}.`)
  return { kind: 'answer', status, contentType, body, usage: noUsage, errorCode: errorCodeOf(parsed) }
}

/** An answer that the engine did not give, in OpenAI's error shape. */
export function errorAnswer(status: number, code: string | null, message: string): Answer {
  const type = status >= 500 ? 'server_error' : 'invalid_request_error'
  const body = Buffer.from(JSON.stringify({ error: { message, type, param: null, code } }))
  return { kind: 'answer', status, contentType: 'application/json', body, usage: noUsage, errorCode: code }
}

/** What a request ends with when its last attempt failed: the engine's own words, else ours. */
export function lastAnswer(failure: Failure): Answer {
  const code = failure.status === 504 ? 'engine_timeout' : 'engine_error'
  if (!failure.body) return errorAnswer(failure.status, code, failure.message)
  const errorCode = errorCodeOf(parseJson(failure.body)) ?? code
  const { status, body } = failure
  return { kind: 'answer', status, contentType: 'application/json', body, usage: noUsage, errorCode }
}

/** The usage in a response body or stream chunk; undefined when there is none. */
export function usageOf(value: unknown): Usage | undefined {
  const usage = field(value, 'usage')
  if (usage === null || typeof usage !== 'object') return undefined
  const cached = field(field(usage, 'prompt_tokens_details'), 'cached_tokens')
  return {
    promptTokens: count(field(usage, 'prompt_tokens')),
    cachedTokens: typeof cached === 'number' ? count(cached) : null,
    completionTokens: count(field(usage, 'completion_tokens')),
    reasoningTokens: count(field(field(usage, 'completion_tokens_details'), 'reasoning_tokens')),
  }
}

/** True when a choice ended because the engine stopped, which a 200 hides. */
export function isAborted(value: unknown): boolean {
  const choices = field(value, 'choices')
  return Array.isArray(choices) && choices.some((choice) => field(choice, 'finish_reason') === 'abort')
}

/** A member of an object, undefined of anything else. */
export function field(value: unknown, name: string): unknown {
  return value !== null && typeof value === 'object' && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined
}

/** Retry-After (seconds or a date) and retry-after-ms as milliseconds from now. */
export function retryAfterMsOf(headerOf: (name: string) => string | undefined, nowMs: number): number | undefined {
  const milliseconds = Number(headerOf('retry-after-ms') ?? Number.NaN)
  if (Number.isFinite(milliseconds) && milliseconds >= 0) return milliseconds
  const text = headerOf('retry-after')
  if (text === undefined) return undefined
  const seconds = Number(text)
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000)
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs)
}

function errorCodeOf(value: unknown): string | null {
  const error = field(value, 'error')
  for (const name of ['code', 'type']) {
    const found = field(error, name)
    if (typeof found === 'string' && found !== '') return found
  }
  return null
}

function parseJson(body: Buffer): unknown {
  if (!isUtf8(body)) return undefined
  try {
    return JSON.parse(body.toString())
  } catch {
    return undefined
  }
}

function count(value: unknown): number {
  return typeof value === 'number' && value > 0 ? Math.floor(value) : 0
}
