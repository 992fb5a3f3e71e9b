import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A question as the stand-in got it. */
export interface MetadataCall {
  method: string
  path: string
  headers: Record<string, string | string[] | undefined>
  body: string
}

/** A metadata service of a cloud over real HTTP, answering what `answer` writes, and keeping what it was asked. */
export async function startMetadataStandIn(answer: (call: MetadataCall, res: ServerResponse) => void) {
  const calls: MetadataCall[] = []
  const server = createServer(async (req, res) => {
    const parts: Buffer[] = []
    for await (const part of req) parts.push(part as Buffer)
    const call = {
      method: req.method ?? '',
      path: req.url ?? '',
      headers: req.headers,
      body: Buffer.concat(parts).toString(),
    }
    calls.push(call)
    answer(call, res)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    calls,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** An EC2 instance: version 2 of the service only, `action` and `rebalance` as they are now. */
export async function startAwsStandIn(now: { action?: object; rebalance?: object } = {}) {
  let tokens = 0
  const standIn = await startMetadataStandIn(({ headers, method, path }, res) => {
    if (path === '/latest/api/token') {
      if (method !== 'PUT' || headers['x-aws-ec2-metadata-token-ttl-seconds'] === undefined) {
        return res.writeHead(400).end()
      }
      return res.end(`token-${++tokens}`)
    }
    if (headers['x-aws-ec2-metadata-token'] !== `token-${tokens}`) return res.writeHead(401).end()
    const found =
      path === '/latest/meta-data/spot/instance-action'
        ? now.action
        : path === '/latest/meta-data/events/recommendations/rebalance'
          ? now.rebalance
          : undefined
    if (!found) return res.writeHead(404).end('Not Found')
    res.end(JSON.stringify(found))
  })
  return {
    ...standIn,
    now,
    /** The token given last is good no more. */
    forgetToken() {
      tokens++
    },
  }
}
