import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request as the scripted API got it. */
export interface Call {
  method: string
  /** Path and query. */
  url: string
  headers: IncomingMessage['headers']
  body: string
}

/** What the script answers: an object as JSON with status 200, or all of it spelled out. `hangUp` cuts the connection, in the middle of the body if there is one. */
export type Answer = { status: number; headers?: Record<string, string>; body?: unknown; hangUp?: boolean }

export const json = (body: unknown): Answer => ({ status: 200, body })
export const refusal = (status: number, error: object, headers: Record<string, string> = {}): Answer => ({
  status,
  headers,
  body: { error },
})

/** A small HTTP server that plays the API by a script: `METHOD /path` to what it answers, the query left aside. */
export async function startApiServer(script: Record<string, Answer | ((call: Call, nth: number) => Answer)>) {
  const calls: Call[] = []
  const server = createServer(async (req, res) => {
    const parts: Buffer[] = []
    for await (const part of req) parts.push(part as Buffer)
    const call: Call = {
      method: req.method ?? '',
      url: req.url ?? '',
      headers: req.headers,
      body: Buffer.concat(parts).toString(),
    }
    calls.push(call)
    const key = `${call.method} ${call.url.split('?')[0]}`
    const nth = calls.filter((one) => `${one.method} ${one.url.split('?')[0]}` === key).length
    const scripted = script[key] ?? refusal(404, { message: `Nothing at ${key}.`, code: 'not_found', param: null })
    const answer = typeof scripted === 'function' ? scripted(call, nth) : scripted
    if (answer.hangUp && answer.body === undefined) return void req.socket.destroy()
    const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body)
    if (answer.hangUp) {
      res.writeHead(answer.status, { 'content-length': 2 * Buffer.byteLength(text) })
      return void res.write(text, () => req.socket.destroy())
    }
    res.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers }).end(text)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    calls,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** The calls of one kind, in order. */
    to: (key: string) => calls.filter((call) => `${call.method} ${call.url.split('?')[0]}` === key),
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A batch as the API shows it. */
export function batchObject(fields: object = {}) {
  return {
    id: 'batch_1',
    object: 'batch',
    endpoint: '/v1/chat/completions',
    model: null,
    errors: null,
    input_file_id: 'file-in',
    completion_window: '24h',
    status: 'validating',
    output_file_id: null,
    error_file_id: null,
    created_at: 1_700_000_000,
    expires_at: 1_700_086_400,
    request_counts: { total: 0, completed: 0, failed: 0 },
    metadata: null,
    ...fields,
  }
}

/** A file as the API shows it. */
export function fileObject(fields: object = {}) {
  return {
    id: 'file-in',
    object: 'file',
    bytes: 10,
    created_at: 1_700_000_000,
    filename: 'in.jsonl',
    purpose: 'batch',
    ...fields,
  }
}
