import { createServer, type Socket, connect as tcpConnect } from 'node:net'

/** A wire to a store over HTTP that can be cut, or made to answer for the store. */
export interface FaultyLink {
  readonly port: number
  /** The request lines that passed, such as `PUT /bucket/key HTTP/1.1`. */
  readonly requests: readonly string[]
  /** Bytes that went to the store so far. */
  readonly bytesSent: number
  /** Cuts every connection, and each one made from then on, once this many more bytes went that way. */
  cutAfter(way: 'to store' | 'from store', bytes: number): void
  /** The same, once: the connections made from then on pass. */
  breakAfter(way: 'to store' | 'from store', bytes: number): void
  /** Answers each request with this status, without asking the store. */
  answer(status: number): void
  /** Lets everything pass again. */
  heal(): void
  close(): Promise<void>
}

/** Starts a link to a store on this host. */
export async function startFaultyLink(options: { port: number }): Promise<FaultyLink> {
  const sockets = new Set<Socket>()
  const requests: string[] = []
  let bytesSent = 0
  let left = unlimited()
  let once = false
  let status: number | undefined
  const isCut = () => Math.min(left['to store'], left['from store']) <= 0
  const drop = () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
    if (once) left = unlimited()
  }
  const forward = (from: Socket, to: Socket, way: keyof typeof left) => {
    from.on('data', (data: Buffer) => {
      left[way] -= data.length
      if (isCut()) return drop()
      if (way === 'to store') {
        bytesSent += data.length
        requests.push(...(data.toString('latin1').match(/^(GET|HEAD|PUT|POST|DELETE) \S+ HTTP\/1\.1/gm) ?? []))
      }
      if (!to.write(data)) from.pause()
    })
    to.on('drain', () => from.resume())
    from.on('error', () => {})
    from.on('close', () => to.destroy())
  }

  const server = createServer((client) => {
    if (isCut()) return client.destroy()
    sockets.add(client)
    client.on('close', () => sockets.delete(client))
    if (status !== undefined) {
      const head = `HTTP/1.1 ${status} Refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`
      client.on('error', () => {})
      client.once('data', () => client.end(head))
      return
    }
    const store = tcpConnect(options.port, '127.0.0.1')
    sockets.add(store)
    store.on('close', () => sockets.delete(store))
    forward(client, store, 'to store')
    forward(store, client, 'from store')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    requests,
    get bytesSent() {
      return bytesSent
    },
    cutAfter: (way, bytes) => {
      once = false
      left[way] = bytes
    },
    breakAfter: (way, bytes) => {
      once = true
      left[way] = bytes
    },
    answer: (code) => {
      status = code
      drop()
    },
    heal: () => {
      left = unlimited()
      status = undefined
      drop()
    },
    close: () =>
      new Promise<void>((resolve) => {
        drop()
        server.close(() => resolve())
      }),
  }
}

function unlimited(): Record<'to store' | 'from store', number> {
  return { 'to store': Number.POSITIVE_INFINITY, 'from store': Number.POSITIVE_INFINITY }
}
