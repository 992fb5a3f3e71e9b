import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

/** What an emulator answers with. */
export interface Answer {
  status: number
  headers?: Record<string, string | number>
  body?: string | Uint8Array
}

/** A request read whole. Path segments are as sent, not decoded. */
export interface Call {
  method: string
  path: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
  body: Buffer
}

/** Serves HTTP on a port of its own; a request that is cut off never reaches `handle`. */
export async function serveHttp(options: { handle: (call: Call) => Answer }): Promise<{
  port: number
  stop(): Promise<void>
}> {
  const answer = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const pieces: Buffer[] = []
    for await (const piece of req) pieces.push(piece)
    const [path = '', query = ''] = (req.url ?? '').split('?')
    const call: Call = {
      method: req.method ?? '',
      path,
      query: new URLSearchParams(query),
      headers: req.headers,
      body: Buffer.concat(pieces),
    }
    const { status, headers = {}, body = '' } = options.handle(call)
    const length = Buffer.byteLength(body)
    res.writeHead(status, { 'content-length': length, ...headers }).end(call.method === 'HEAD' ? undefined : body)
  }
  const server = createServer((req, res) => {
    answer(req, res).catch(() => res.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  let stopping: Promise<void> | undefined
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    stop: () => {
      stopping ??= new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return stopping
    },
  }
}

/** The part of an object that a `Range: bytes=a-b` asks for: a 206, a 416, or the whole as 200 without one. */
export function rangeOf(range: string | undefined, object: Buffer): Answer {
  const found = /^bytes=(\d+)-(\d*)$/.exec(range ?? '')
  if (!found) return { status: 200, body: object }
  const start = Number(found[1])
  if (start >= object.length) return { status: 416, headers: { 'content-range': `bytes */${object.length}` } }
  const end = Math.min(object.length - 1, found[2] === '' ? Number.POSITIVE_INFINITY : Number(found[2]))
  return {
    status: 206,
    headers: { 'content-range': `bytes ${start}-${end}/${object.length}` },
    body: object.subarray(start, end + 1),
  }
}

/** One page of the keys that start with `prefix`, in order, after `after`. */
export function pageOf(
  objects: ReadonlyMap<string, unknown>,
  options: { prefix: string; after: string; size: number },
): { keys: string[]; more: boolean } {
  const all = [...objects.keys()].filter((key) => key.startsWith(options.prefix) && key > options.after).sort()
  return { keys: all.slice(0, options.size), more: all.length > options.size }
}
