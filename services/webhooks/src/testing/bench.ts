import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, LookupFunction } from 'node:net'
import { type Config, loadConfig } from '@forebay/config'
import { type ManualClock, makeRegistry, newId, type Running, silentLogger } from '@forebay/kernel'
import { type Database, ensureTenant, openDatabase } from '@forebay/store'
import { eventually, testDatabase } from '@forebay/test-support'
import { startWebhooks } from '../app.ts'

export const secret = `whsec_${Buffer.from('a secret of twenty-four b').toString('base64')}`

export interface Received {
  path: string
  headers: Record<string, string>
  body: string
}

/** A webhook receiver on 127.0.0.1 that keeps what it got; `answer` decides what it says. */
export async function startReceiver(
  answer: (res: ServerResponse, req: Received) => void = (res) => res.writeHead(204).end(),
) {
  const received: Received[] = []
  const server = createServer((req: IncomingMessage, res: ServerResponse) => {
    let body = ''
    req.on('data', (part) => {
      body += part
    })
    req.on('end', () => {
      const got = { path: req.url ?? '', headers: req.headers as Record<string, string>, body }
      received.push(got)
      answer(res, got)
    })
  })
  let connections = 0
  server.on('connection', () => connections++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    received,
    port,
    connections: () => connections,
    url: `http://127.0.0.1:${port}/hook`,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A database with one tenant, and the means to make endpoints and events and to start replicas. */
export async function openBench(clock: ManualClock) {
  const database = await testDatabase()
  const db = openDatabase({ url: database.url, logger: silentLogger })
  await ensureTenant(db, { id: 'acme' })
  const running: Running[] = []
  const databases: Database[] = []
  return {
    db,
    endpoint: async (url: string, options: { events?: string[]; tenantId?: string } = {}) => {
      const id = newId('we_', clock.now())
      await db.query('INSERT INTO webhook_endpoints (id, tenant_id, url, secret, events) VALUES ($1, $2, $3, $4, $5)', [
        id,
        options.tenantId ?? 'acme',
        url,
        secret,
        options.events ?? [],
      ])
      return id
    },
    event: async (type = 'batch.completed') => {
      const id = newId('evt_', clock.now())
      await db.tx(async (tx) => {
        await tx.query('INSERT INTO events (id, tenant_id, type, data) VALUES ($1, $2, $3, $4)', [
          id,
          'acme',
          type,
          { id: 'batch_1' },
        ])
        await tx.query('NOTIFY forebay_events')
      })
      return id
    },
    start: async (options: { config?: Partial<Config>; lookup?: LookupFunction } = {}) => {
      const replicaDb = openDatabase({ url: database.url, logger: silentLogger })
      const { config } = loadConfig({ FOREBAY_WEBHOOK_ALLOW: '127.0.0.1', FOREBAY_DRAIN_MS: '0' })
      const registry = makeRegistry()
      const replica = await startWebhooks({
        config: { ...config, ...options.config },
        clock,
        logger: silentLogger,
        registry,
        db: replicaDb,
        random: () => 0,
        ...(options.lookup ? { lookup: options.lookup } : {}),
      })
      running.push(replica)
      databases.push(replicaDb)
      return { ...replica, registry }
    },
    delivery: async (eventId: string, endpointId: string) => {
      const [row] = await db.query<{
        status: string
        attempts: number
        next_at: Date
        last_status: number | null
        last_error: string | null
      }>('SELECT * FROM webhook_deliveries WHERE event_id = $1 AND endpoint_id = $2', [eventId, endpointId])
      return row
    },
    close: async () => {
      let stopped = false
      const stopping = Promise.all(running.map((part) => part.stop())).finally(() => {
        stopped = true
      })
      await eventually(() => clock.advance(10).then(() => stopped), { what: 'the replicas to drain' })
      await stopping
      await Promise.all([db, ...databases].map((part) => part.stop()))
      await database.drop()
    },
  }
}
