import type { IncomingMessage, ServerResponse } from 'node:http'
import { ApiError } from './api-error.ts'

const bodyBytesMax = 64 * 1024 * 1024

/** Every response says that a simulator made it. */
export const simHeaders = { server: 'engine-sim', 'x-engine-sim': '1' } as const

/** Reads a JSON body; throws 400 when it is not JSON, 413 when it is longer than 64 MiB. */
export async function readJson(req: IncomingMessage): Promise<unknown> {
  const text = await readText(req)
  try {
    return JSON.parse(text)
  } catch (err) {
    throw new ApiError(400, `The body is not valid JSON: ${err instanceof Error ? err.message : String(err)}`)
  }
}

// Events, not `for await`: this is on the path of every request, and the iterator costs more than the rest of it.
function readText(req: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    let bytes = 0
    req.on('data', (part: Buffer) => {
      bytes += part.length
      if (bytes <= bodyBytesMax) parts.push(part)
      else reject(new ApiError(413, `The body is larger than ${bodyBytesMax} bytes.`))
    })
    req.on('end', () => resolve(Buffer.concat(parts).toString('utf8')))
    req.on('error', reject)
    req.on('close', () => {
      // It comes after every request; an error that nobody sees would still cost its stack trace.
      if (!req.complete) reject(new ApiError(400, 'The client left before its request was complete.'))
    })
  })
}

/** Sends a whole answer; does nothing when the client has gone or an answer has begun. */
export function sendText(res: ServerResponse, status: number, type: string, text: string, retryAfterS?: number): void {
  if (res.headersSent || res.destroyed) return
  res.writeHead(status, {
    ...simHeaders,
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    ...(retryAfterS === undefined ? {} : { 'retry-after': String(retryAfterS) }),
  })
  res.end(text)
}

export function sendJson(res: ServerResponse, status: number, body: unknown): void {
  sendText(res, status, 'application/json', JSON.stringify(body))
}

export function sendError(res: ServerResponse, err: unknown): void {
  const known = err instanceof ApiError ? err : new ApiError(500, 'Internal server error')
  sendText(res, known.status, 'application/json', JSON.stringify(known.toBody()), known.retryAfterS)
}
