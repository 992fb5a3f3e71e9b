import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Running } from './lifecycle.ts'
import type { Registry } from './metrics.ts'

export interface OpsServer extends Running {
  readonly port: number
}

/**
 * The small HTTP server that every process without an API of its own has: `/healthz` (alive), `/readyz` (200 when
 * `ready` answers nothing, else 503 with the reason) and `/metrics` (Prometheus text).
 */
export async function startOpsServer(options: {
  host: string
  port: number
  registry: Registry
  ready: () => Promise<string | undefined>
  /** Answers what the process itself serves there; undefined for a path that it does not. */
  more?: (path: string) => Promise<{ status: number; body: object } | undefined>
}): Promise<OpsServer> {
  const server = createServer(async (req, res) => {
    const path = req.url?.split('?')[0]
    if (path === '/healthz') return res.writeHead(200, { 'content-type': 'application/json' }).end('{"status":"ok"}')
    if (path === '/readyz') {
      const reason = await options.ready().catch((err: unknown) => String(err))
      res.writeHead(reason === undefined ? 200 : 503, { 'content-type': 'application/json' })
      return res.end(JSON.stringify(reason === undefined ? { status: 'ready' } : { status: 'not ready', reason }))
    }
    if (path === '/metrics') {
      return res.writeHead(200, { 'content-type': options.registry.contentType }).end(await options.registry.metrics())
    }
    const own = await options.more?.(path ?? '').catch(() => undefined)
    if (own) return res.writeHead(own.status, { 'content-type': 'application/json' }).end(JSON.stringify(own.body))
    return res
      .writeHead(404, { 'content-type': 'application/json' })
      .end(
        '{"error":{"message":"Not found. This port serves /healthz, /readyz and /metrics.","type":"invalid_request_error","param":null,"code":"not_found"}}',
      )
  })
  await listen(server, options.port, options.host)
  return {
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => resolve())
  })
}
