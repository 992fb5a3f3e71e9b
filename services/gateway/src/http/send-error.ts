import { type ErrorCode, ForebayError, isForebayError, type Logger, toErrorBody } from '@forebay/kernel'
import type { FastifyReply, FastifyRequest } from 'fastify'

const fromFastify: Record<string, [ErrorCode, string]> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['payload_too_large', 'The body of your request is larger than this server takes.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported_media_type',
    "Unsupported 'Content-Type'. Send 'application/json', or 'multipart/form-data' to upload a file.",
  ],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [
    'invalid_request',
    "The body of your request is not as long as its 'Content-Length' says.",
  ],
  FST_ERR_MAX_PARAM_LENGTH: ['invalid_request', 'The URL of your request is too long.'],
  FST_ERR_BAD_URL: ['invalid_request', 'The URL of your request has a malformed percent-encoding.'],
  ECONNRESET: ['client_closed', 'The client closed the connection.'],
}

/** Ours for any thrown value: the framework's errors become ForebayErrors here and nowhere else. */
export function asForebayError(err: unknown): ForebayError {
  if (isForebayError(err)) return err
  const code = err instanceof Error && 'code' in err ? String(err.code) : ''
  const known = fromFastify[code]
  if (known) return new ForebayError(known[0], known[1], { cause: err })
  const status = err instanceof Error && 'statusCode' in err ? Number(err.statusCode) : 500
  if (err instanceof Error && code.startsWith('FST_') && status >= 400 && status < 500) {
    return new ForebayError('invalid_request', err.message, { status, cause: err })
  }
  return new ForebayError('internal', 'The server had an error while processing your request. Please retry.', {
    cause: err,
  })
}

/** The headers that tell a client whether and when to try again. */
export function retryHeaders(error: ForebayError): Record<string, string> {
  const headers: Record<string, string> = {}
  if (error.retryAfterMs !== undefined) {
    headers['retry-after'] = String(Math.max(1, Math.ceil(error.retryAfterMs / 1000)))
    headers['retry-after-ms'] = String(Math.ceil(error.retryAfterMs))
  }
  // SDKs retry these statuses by themselves: say so when it would be in vain.
  if (!error.retryable && (error.status >= 500 || [408, 409, 429].includes(error.status))) {
    headers['x-should-retry'] = 'false'
  }
  return headers
}

/** Answers a failure in OpenAI's shape; one of the server's own is logged. */
export function makeErrorSender(options: { logger: Logger }) {
  return (err: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const error = asForebayError(err)
    if (error.status >= 500) {
      options.logger[error.code === 'internal' ? 'error' : 'warn'](
        { requestId: request.id, route: request.routeOptions.url, code: error.code, err: error.cause ?? error },
        'a request failed',
      )
    }
    return reply.status(error.status).headers(retryHeaders(error)).send(toErrorBody(error))
  }
}
