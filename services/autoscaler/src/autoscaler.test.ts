import { openFolderBlobs } from '@forebay/blobs'
import { loadConfig } from '@forebay/config'
import type { Announcement } from '@forebay/contracts'
import { makeRegistry, newId, type Running, silentLogger, systemClock } from '@forebay/kernel'
import { openPools, type Pools, parsePools } from '@forebay/pools'
import { makeMemoryProvider } from '@forebay/queue-memory'
import { makeMemoryReplyBus } from '@forebay/reply-bus'
import { type Database, ensureTenant, openDatabase } from '@forebay/store'
import { type TestDatabase, tempDir, testDatabase } from '@forebay/test-support'
import { type Client, credentials, makeGenericClientConstructor } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { externalScalerDefinition, startGrpcScaler } from './scalers/grpc-scaler.ts'
import { makeScaleRoute } from './scalers/scale-route.ts'
import { type Autoscaler, startAutoscaler } from './start-autoscaler.ts'

const text = `pools:
  - { name: a, queue: 'memory:', models: [m], tokensPerSecond: 1000, coldStartSeconds: 60, maxReplicas: 8, costPerGpuHour: 3 }
  - { name: b, queue: 'memory:', models: [m], tokensPerSecond: 1000, coldStartSeconds: 60, maxReplicas: 2, spot: true, residency: [eu] }
`
const clock = systemClock
const bus = makeMemoryReplyBus()
const queues = makeMemoryProvider({ clock })
let database: TestDatabase
let db: Database
let pools: Pools
let brokenPool: string | undefined
let databaseAway = false
const away = () => Promise.reject(new Error('the database is away'))
const running: Running[] = []
const until = (check: () => void | Promise<void>) => vi.waitFor(check, { timeout: 20_000, interval: 20 })

beforeAll(async () => {
  database = await testDatabase()
  db = openDatabase({ url: database.url, logger: silentLogger })
  await ensureTenant(db, { id: 'acme' })
})
beforeEach(() => {
  brokenPool = undefined
  databaseAway = false
  pools = openPools({
    set: { file: 'f', pools: parsePools({ text, file: 'f', env: {} }) },
    ...{ fileStore: openFolderBlobs({ root: tempDir() }), fileStoreUrl: 'files', leaseMs: 1000, clock },
    logger: silentLogger,
    open: {
      queues: async () => ({
        queue(name) {
          if (brokenPool !== undefined && name.startsWith(`${brokenPool}.`)) throw new Error('the broker is away')
          return queues.queue(name)
        },
        close: async () => {},
      }),
    },
  })
})
afterEach(async () => {
  for (const one of running.splice(0)) await one.stop()
  await db.query('TRUNCATE scaling, scaling_decisions, chunk_progress, chunks, pools')
  await db.query('DELETE FROM batches')
})
afterAll(async () => {
  await db.stop()
  await queues.close()
  await database.drop()
})

async function start(
  env: Record<string, string> = {},
): Promise<Autoscaler & { registry: ReturnType<typeof makeRegistry> }> {
  const { config } = loadConfig({ FOREBAY_SCALE_EVERY_MS: '100', ...env })
  const registry = makeRegistry()
  const flaky: Database = { ...db, query: (sql, values) => (databaseAway ? away() : db.query(sql, values)) }
  const autoscaler = await startAutoscaler({ config, clock, logger: silentLogger, registry, db: flaky, pools, bus })
  running.push(autoscaler)
  return { ...autoscaler, registry }
}

/** A batch with chunks of 1 M tokens each, due in so many hours; of the first chunk half is done. */
async function batch(chunks: number, hours: number, residency: string | null = null): Promise<string> {
  const id = newId('batch_', clock.now())
  // At once, so that no decision is made about half of it.
  await db.tx(async (tx) => {
    await tx.query(
      `INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key) VALUES ($1, 'acme', 'f', 'batch', 1, '\\x00', $1)`,
      [id],
    )
    await tx.query(
      `INSERT INTO batches (id, tenant_id, api_key_id, endpoint, input_file_id, completion_window, status, model, residency, expires_at)
       VALUES ($1, 'acme', 'k', '/v1/chat/completions', $1, '24h', 'in_progress', 'm', $2, now() + $3 * interval '1 hour')`,
      [id, residency, hours],
    )
    await tx.query(
      `INSERT INTO chunks (batch_id, index, first_entry, entries, est_tokens, status)
       SELECT $1, i, 0, 10, 1000000, CASE i WHEN 0 THEN 'released' ELSE 'planned' END FROM generate_series(0, $2::int - 1) AS i`,
      [id, chunks],
    )
    await tx.query('INSERT INTO chunk_progress (batch_id, chunk, done) VALUES ($1, 0, 5)', [id])
  })
  return id
}

const announce = (workerId: string, given: Partial<Announcement> = {}) =>
  bus.announce({
    ...{ workerId, pool: 'a', engine: 'vllm', engineUrl: 'http://e', models: [], healthy: true, draining: false },
    ...{ inFlight: { realtime: 0, standard: 0, batch: 0 }, inFlightMax: 10, tokensPerSecond: 0, atMs: clock.now() },
    ...given,
  })

describe('the autoscaler', () => {
  it('asks for the workers that what is left of the batches needs, and says why', async () => {
    await batch(10, 1)
    const { decisions, registry } = await start()
    await until(() => expect(decisions.get('a')?.desired).toBeGreaterThan(0))
    // 9.5 M tokens within the hour: spot first, as far as it goes.
    expect(decisions.all()).toMatchObject([
      {
        pool: 'a',
        desired: 2,
        outstandingTokens: 9_500_000,
        reason: expect.stringMatching(/^Up from 0 to 2: 9\.5M tokens are due within 60 min/),
      },
      { pool: 'b', desired: 2 },
    ])
    await until(async () => {
      const rows = await db.query('SELECT pool, before, desired FROM scaling_decisions ORDER BY pool')
      expect(rows).toEqual([
        { pool: 'a', before: 0, desired: 2 },
        { pool: 'b', before: 0, desired: 2 },
      ])
      expect(await registry.metrics()).toContain('forebay_scale_desired_replicas{pool="a"} 2')
    })
  })

  it('sends work with a residency tag to no pool without it', async () => {
    await batch(40, 1, 'eu')
    const { decisions } = await start()
    await until(() => expect(decisions.get('b')?.desired).toBe(2))
    expect(decisions.get('a')).toMatchObject({ desired: 0, outstandingTokens: 0 })
  })

  it('starts nothing in a drained pool, and holds one that cannot be reached', async () => {
    await db.query(`INSERT INTO pools (name, drained_at) VALUES ('b', now())`)
    await batch(10, 1)
    brokenPool = 'a'
    const { decisions } = await start()
    await until(() => expect(decisions.get('a')?.reason).toContain('cannot be reached'))
    expect(decisions.all()).toMatchObject([{ desired: 0 }, { desired: 0 }])
  })

  it('counts workers from what they announce, and measures what a full one gets through', async () => {
    await batch(10, 1)
    const { decisions } = await start()
    const full = { inFlight: { realtime: 0, standard: 0, batch: 9 }, tokensPerSecond: 50_000 }
    await until(async () => {
      await announce('w1', full)
      expect(decisions.get('a')?.ready).toBe(1)
    })
    await announce('w1', { ...full, draining: true })
    await until(() => expect(decisions.get('a')?.ready).toBe(0))
  })

  it('holds what it decided while the database is away, says how old that is, and goes on when it is back', async () => {
    await batch(10, 1)
    const { decisions, registry } = await start()
    await until(() => expect(decisions.get('b')?.desired).toBe(2))
    databaseAway = true
    await until(async () =>
      expect(Number(/forebay_scale_failures_total (\d+)/.exec(await registry.metrics())?.[1])).toBeGreaterThan(2),
    )
    const held = decisions.get('b')
    await db.query('DELETE FROM chunks')
    const later = { ...clock, now: () => (held?.decidedAtMs ?? 0) + 60_000 }
    const answer = await makeScaleRoute({ decisions, clock: later })('/pools/b/scale')
    expect(answer).toMatchObject({ status: 200, body: { value: 2, age_seconds: 60 } })
    databaseAway = false
    await until(() => expect(decisions.get('b')?.decidedAtMs).toBeGreaterThan(held?.decidedAtMs ?? 0))
    expect(decisions.get('b')).toMatchObject({ desired: 2, reason: expect.stringContaining('Stays at 2') })
  })

  it('has one replica that decides and others that know; the next takes over without shrinking anything', async () => {
    await batch(10, 1)
    const first = await start()
    await until(() => expect(first.decisions.get('b')?.desired).toBe(2))
    const second = await start()
    await until(() => expect(second.decisions.get('b')?.desired).toBe(2))
    await first.stop()
    await db.query('DELETE FROM chunks')
    const before = clock.now()
    await until(() => expect(second.decisions.get('b')?.decidedAtMs).toBeGreaterThan(before))
    expect(second.decisions.get('b')).toMatchObject({ desired: 2, reason: expect.stringContaining('Stays at 2') })
  })
})

describe('the ways out', () => {
  const ref = { name: 'workers', namespace: 'forebay', scalerMetadata: { pool: 'b' } }

  it('answer KEDA with a number and its target, and with 404 for a pool that is none', async () => {
    await batch(10, 1)
    const { decisions } = await start()
    await until(() => expect(decisions.get('b')?.desired).toBe(2))
    const route = makeScaleRoute({ decisions, clock })
    expect(await route('/pools/b/scale')).toMatchObject({
      status: 200,
      body: { pool: 'b', value: 2, target: 1, ready: 0 },
    })
    expect(await route('/pools/nobody/scale')).toMatchObject({ status: 404 })
    expect(await route('/pools')).toBeUndefined()
  })

  it('speak the external scaler of KEDA over gRPC, and push when a pool becomes active', async () => {
    const { decisions } = await start()
    await until(() => expect(decisions.get('b')?.desired).toBe(0))
    const server = await startGrpcScaler({ host: '127.0.0.1', port: 0, decisions })
    running.unshift(server)
    const Scaler = makeGenericClientConstructor(externalScalerDefinition(), 'ExternalScaler')
    const client = new Scaler(`127.0.0.1:${server.port}`, credentials.createInsecure())
    running.unshift({ stop: async () => client.close() })
    expect(await ask(client, 'IsActive', ref)).toEqual({ result: false })
    expect(await ask(client, 'GetMetricSpec', ref)).toEqual({
      metricSpecs: [{ metricName: 'forebay-workers', targetSize: 1, targetSizeFloat: 1 }],
    })
    const pushed: boolean[] = []
    const stream = method(client, 'StreamIsActive')(ref) as unknown as NodeJS.ReadableStream
    stream.on('data', ({ result }: { result: boolean }) => pushed.push(result))
    stream.on('error', () => {})
    await until(() => expect(pushed).toEqual([false]))
    await batch(10, 1)
    await until(() => expect(pushed).toEqual([false, true]))
    const metrics = await ask(client, 'GetMetrics', { scaledObjectRef: ref, metricName: 'forebay-workers' })
    expect(metrics).toEqual({ metricValues: [{ metricName: 'forebay-workers', metricValue: 2, metricValueFloat: 2 }] })
    await expect(ask(client, 'IsActive', { ...ref, scalerMetadata: { pool: 'x' } })).rejects.toThrow(/NOT_FOUND/)
    await expect(ask(client, 'IsActive', { ...ref, scalerMetadata: {} })).rejects.toThrow(/INVALID_ARGUMENT/)
  })
})

type Method = (request: object, done?: (err: Error | null, answer: object) => void) => unknown

function method(client: Client, name: string): Method {
  return (client as unknown as Record<string, Method>)[name]?.bind(client) as Method
}

function ask(client: Client, name: string, request: object): Promise<object> {
  return new Promise((resolve, reject) => {
    method(client, name)(request, (err, answer) => (err ? reject(err) : resolve(answer)))
  })
}
