/**
 * Every failure Forebay names, with the HTTP status and OpenAI error `type` it is shown with.
 * A code is never reused for another meaning.
 */
export const errorCodes = {
  invalid_request: { status: 400, type: 'invalid_request_error', retryable: false },
  invalid_json: { status: 400, type: 'invalid_request_error', retryable: false },
  invalid_value: { status: 400, type: 'invalid_request_error', retryable: false },
  invalid_type: { status: 400, type: 'invalid_request_error', retryable: false },
  missing_required_parameter: { status: 400, type: 'invalid_request_error', retryable: false },
  context_length_exceeded: { status: 400, type: 'invalid_request_error', retryable: false },
  invalid_api_key: { status: 401, type: 'invalid_request_error', retryable: false },
  permission_denied: { status: 403, type: 'invalid_request_error', retryable: false },
  not_found: { status: 404, type: 'invalid_request_error', retryable: false },
  model_not_found: { status: 404, type: 'invalid_request_error', retryable: false },
  method_not_allowed: { status: 405, type: 'invalid_request_error', retryable: false },
  timeout: { status: 408, type: 'server_error', retryable: true },
  conflict: { status: 409, type: 'invalid_request_error', retryable: false },
  idempotency_in_progress: { status: 409, type: 'invalid_request_error', retryable: true },
  payload_too_large: { status: 413, type: 'invalid_request_error', retryable: false },
  unsupported_media_type: { status: 415, type: 'invalid_request_error', retryable: false },
  idempotency_mismatch: { status: 422, type: 'invalid_request_error', retryable: false },
  rate_limit_exceeded: { status: 429, type: 'rate_limit_error', retryable: true },
  insufficient_quota: { status: 429, type: 'insufficient_quota', retryable: false },
  client_closed: { status: 499, type: 'invalid_request_error', retryable: false },
  internal: { status: 500, type: 'server_error', retryable: true },
  engine_error: { status: 502, type: 'server_error', retryable: true },
  unavailable: { status: 503, type: 'server_error', retryable: true },
  overloaded: { status: 503, type: 'server_error', retryable: true },
  engine_timeout: { status: 504, type: 'server_error', retryable: true },
  queue_too_large: { status: 500, type: 'server_error', retryable: false },
  lease_lost: { status: 500, type: 'server_error', retryable: false },
  queue_invalid: { status: 500, type: 'server_error', retryable: false },
  queue_denied: { status: 500, type: 'server_error', retryable: false },
  config_invalid: { status: 500, type: 'server_error', retryable: false },
} as const

export type ErrorCode = keyof typeof errorCodes

export interface ForebayErrorOptions {
  /** The request parameter at fault, in OpenAI's dotted notation. */
  param?: string | null
  retryAfterMs?: number
  /** Overrides the table's status, for an answer relayed from an engine. */
  status?: number
  cause?: unknown
}

/** The one error class. Its message is safe to show to the caller; what is not goes in `cause`. Compare `code`, not the class. */
export class ForebayError extends Error {
  readonly code: ErrorCode
  readonly status: number
  readonly type: string
  readonly retryable: boolean
  readonly param: string | null
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, options: ForebayErrorOptions = {}) {
    super(message, { cause: options.cause })
    this.name = 'ForebayError'
    this.code = code
    this.status = options.status ?? errorCodes[code].status
    this.type = errorCodes[code].type
    this.retryable = errorCodes[code].retryable
    this.param = options.param ?? null
    this.retryAfterMs = options.retryAfterMs
  }
}

/** True when `err` is a ForebayError, also across duplicated module instances. */
export function isForebayError(err: unknown): err is ForebayError {
  return err instanceof Error && err.name === 'ForebayError' && 'code' in err
}

/** The OpenAI error body for any thrown value; unknown errors show no detail. */
export function toErrorBody(err: unknown): {
  error: { message: string; type: string; param: string | null; code: string | null }
} {
  if (isForebayError(err)) {
    return { error: { message: err.message, type: err.type, param: err.param, code: err.code } }
  }
  return {
    error: {
      message: 'The server had an error while processing your request.',
      type: 'server_error',
      param: null,
      code: 'internal',
    },
  }
}

/** A one-line description for logs: message and code, never a prompt. */
export function describeError(err: unknown): string {
  if (err instanceof Error) {
    const code = 'code' in err ? ` (${String(err.code)})` : ''
    const cause = err.cause instanceof Error ? ` <- ${describeError(err.cause)}` : ''
    return `${err.message || err.name}${code}${cause}`
  }
  return String(err)
}
