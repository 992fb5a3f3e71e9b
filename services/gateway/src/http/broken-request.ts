import type { Socket } from 'node:net'
import { ForebayError, toErrorBody } from '@forebay/kernel'

/** Answers bytes that are no HTTP request, which no route ever sees, in OpenAI's shape, and ends the connection. */
export function answerBrokenRequest(newRequestId: () => string) {
  return (err: Error & { code?: string }, socket: Socket): void => {
    if (err.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    const [status, error] =
      err.code === 'HPE_HEADER_OVERFLOW'
        ? ['431 Request Header Fields Too Large', new ForebayError('invalid_request', 'The headers are too large.')]
        : err.code === 'ERR_HTTP_REQUEST_TIMEOUT'
          ? ['408 Request Timeout', new ForebayError('timeout', 'The request did not arrive in time.')]
          : ['400 Bad Request', new ForebayError('invalid_request', 'This is not a valid HTTP request.')]
    const body = JSON.stringify(toErrorBody(error))
    socket.end(
      `HTTP/1.1 ${status}\r\nx-request-id: ${newRequestId()}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    )
  }
}
