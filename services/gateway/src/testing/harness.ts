import { openFolderBlobs } from '@forebay/blobs'
import { type Config, loadConfig } from '@forebay/config'
import { type Clock, makeRegistry, silentLogger, systemClock } from '@forebay/kernel'
import { type Pools, singlePool } from '@forebay/pools'
import { makeMemoryProvider } from '@forebay/queue-memory'
import { makeMemoryReplyBus } from '@forebay/reply-bus'
import { createApiKey, ensureTenant, type KeyRole, openDatabase } from '@forebay/store'
import { tempDir, testDatabase } from '@forebay/test-support'
import OpenAI from 'openai'
import { startGateway } from '../start-gateway.ts'

/** A gateway on a database, folder, queue and bus of its own, for one test file. */
export async function startHarness(options: { config?: Partial<Config>; clock?: Clock; pools?: Pools } = {}) {
  const clock = options.clock ?? systemClock
  const database = await testDatabase()
  const db = openDatabase({ url: database.url, logger: silentLogger })
  const blobRoot = tempDir()
  const blobs = openFolderBlobs({ root: blobRoot })
  const queues = makeMemoryProvider({ clock })
  const bus = makeMemoryReplyBus()
  const logger = silentLogger
  const pools = options.pools ?? singlePool({ name: 'default', queues, blobs, clock, logger })
  const registry = makeRegistry()
  const config = { ...loadConfig({ PORT: '0', FOREBAY_DRAIN_MS: '2000' }).config, ...options.config }
  const gateway = await startGateway({ config, clock, logger, registry, db, blobs, pools, bus })

  const newKey = async (tenantId: string, role: KeyRole = 'user') => {
    await ensureTenant(db, { id: tenantId })
    return (await createApiKey(db, { tenantId, name: 'test', role, nowMs: clock.now() })).key
  }
  return {
    ...{ gateway, db, blobs, blobRoot, queues, bus, config, registry, clock, newKey },
    url: gateway.url,
    /** The official SDK with a new key of the tenant; it does not retry, so that a test sees every answer. */
    sdk: async (tenantId: string, role?: KeyRole) =>
      new OpenAI({ apiKey: await newKey(tenantId, role), baseURL: `${gateway.url}/v1`, maxRetries: 0 }),
    /** One request as given; the body is sent as JSON unless it is text or bytes. */
    call: async (
      method: string,
      path: string,
      key?: string | null,
      body?: unknown,
      headers: Record<string, string> = {},
    ) => {
      const raw = typeof body === 'string' || body instanceof Uint8Array
      const response = await fetch(`${gateway.url}${path}`, {
        method,
        headers: {
          ...(typeof key !== 'string' ? {} : { authorization: `Bearer ${key}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: raw ? body : JSON.stringify(body) }),
      })
      const text = await response.text()
      return { status: response.status, headers: response.headers, text, json: parse(text) }
    },
    stop: async () => {
      await gateway.stop()
      await queues.close()
      await bus.stop()
      await db.stop()
      await database.drop()
    },
  }
}

/** What `startHarness` gives. */
export type Harness = Awaited<ReturnType<typeof startHarness>>

interface Answer {
  [key: string]: unknown
  error?: { message: string; type: string; param: string | null; code: string | null }
}

function parse(text: string): Answer {
  try {
    return JSON.parse(text) as Answer
  } catch {
    return {}
  }
}
