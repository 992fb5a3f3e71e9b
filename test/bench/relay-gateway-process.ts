import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import { relayChannel, relayStream } from './relay-names.ts'

export interface RelayGatewayTask {
  redisUrl: string
}

export interface RelayGatewayUp {
  url: string
}

// Started by relay.ts. Each request becomes an entry of a stream; its answer comes as a message, `id status body`.
process.on('message', (task: RelayGatewayTask) => {
  void serve(task).then((up) => process.send?.(up))
})

async function serve({ redisUrl }: RelayGatewayTask): Promise<RelayGatewayUp> {
  const sending = new Redis(redisUrl)
  const hearing = new Redis(redisUrl)
  const waiting = new Map<string, ServerResponse>()
  let requests = 0
  await hearing.subscribe(relayChannel)
  hearing.on('message', (_channel: string, message: string) => {
    const idEnd = message.indexOf(' ')
    const statusEnd = message.indexOf(' ', idEnd + 1)
    const id = message.slice(0, idEnd)
    const res = waiting.get(id)
    waiting.delete(id)
    res?.writeHead(Number(message.slice(idEnd, statusEnd)), { 'content-type': 'application/json' })
    res?.end(message.slice(statusEnd + 1))
  })
  const server = createServer((req: IncomingMessage, res: ServerResponse) => {
    const parts: Buffer[] = []
    req.on('data', (part: Buffer) => parts.push(part))
    req.on('end', () => {
      const id = `${requests++}`
      waiting.set(id, res)
      void sending.xadd(relayStream, '*', 'job', `${id} ${Buffer.concat(parts)}`)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}
