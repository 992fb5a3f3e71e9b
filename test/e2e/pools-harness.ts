import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openBlobs } from '@forebay/blobs'
import { type Config, loadConfig } from '@forebay/config'
import { type EngineSim, type EngineSimOptions, startEngineSim } from '@forebay/engine-sim'
import { startGateway } from '@forebay/gateway'
import { startWorker } from '@forebay/gpu-worker'
import { makeRegistry, type Running, silentLogger, stopAll, systemClock } from '@forebay/kernel'
import { fileStoreUrlOf, loadPools, openConfiguredPools, poolNamed } from '@forebay/pools'
import { openQueues } from '@forebay/queue-select'
import { openReplyBus } from '@forebay/reply-bus'
import { seedPrices, startResults } from '@forebay/results'
import { startScheduler } from '@forebay/scheduler'
import { createApiKey, ensureTenant, openDatabase } from '@forebay/store'
import { eventually, tempDir, testDatabase } from '@forebay/test-support'
import OpenAI, { toFile } from 'openai'
import { stringify } from 'yaml'
import { check } from '../faults/checker.mjs'

const logger = silentLogger
const clock = systemClock

/** A pool to run: its broker, its store when that is its own (true: a folder), its tags, and how long its engine takes for a request. */
export interface PoolPlan {
  name: string
  queueUrl: string
  ownStore?: boolean | string
  residency?: string[]
  fixedMs?: number
  engine?: EngineSimOptions
  /** Which version of a model it runs, by model. */
  versions?: Record<string, string>
}

/** What the tests read of a pool of /admin/pools. */
export interface PoolView {
  name: string
  state: string
  reason: string | null
  workers: number
  models: string[]
  depth: Record<string, { waiting: number; in_flight: number }> | null
}

/** One control plane over several pools, each with a worker and an engine-sim of its own, all in this process. */
export async function startPools(plans: readonly PoolPlan[], settings: Partial<Config> = {}) {
  const started: Running[] = []
  const keep = <T extends Running>(part: T): T => {
    started.unshift(part)
    return part
  }
  const database = await testDatabase()
  keep({ stop: () => database.drop() })
  const db = keep(openDatabase({ url: database.url, logger, connectionsMax: 16 }))
  await seedPrices(db)
  await ensureTenant(db, { id: 'acme' })
  const { key } = await createApiKey(db, { tenantId: 'acme', name: 't', role: 'admin', nowMs: clock.now() })
  const storeUrls = new Map(
    plans.map(({ name, ownStore }) => [name, ownStore === true ? tempDir() : ownStore || undefined]),
  )
  // The brokers' and stores' URLs are handed over as people do it: by the environment.
  const env: Record<string, string> = {}
  const file = plans.map(({ name, queueUrl, residency = [], versions }, i) => {
    env[`QUEUE_${i}`] = queueUrl
    const store = storeUrls.get(name)
    if (store !== undefined) env[`BLOBS_${i}`] = store.startsWith('/') ? `file://${store}` : store
    return {
      name,
      queue: `\${QUEUE_${i}}`,
      residency,
      ...(versions === undefined ? {} : { versions }),
      ...(store === undefined ? {} : { blobs: `\${BLOBS_${i}}` }),
    }
  })
  const configFile = join(tempDir(), 'forebay.config.yaml')
  await writeFile(configFile, stringify({ pools: file }))
  const config: Config = {
    ...loadConfig({ PORT: '0', FOREBAY_DRAIN_MS: '500', FOREBAY_CONFIG: configFile }).config,
    ...{ chunkRequests: 8, chunkLeaseMs: 30_000, queueLeaseMs: 5_000, requestsPerMinute: 1_000_000 },
    ...{ tokensPerMinute: 1_000_000_000, dataDir: tempDir(), ...settings },
  }
  const { blobs, pools } = await openConfiguredPools({ config, env, databaseUrl: database.url, clock, logger })
  keep({ stop: () => pools.close() })
  const bus = keep(openReplyBus({ url: config.redisUrl, logger }))
  const parts = () => ({ config, clock, logger, registry: makeRegistry(), db, blobs, pools, bus })
  keep(await startResults(parts()))
  keep(await startScheduler(parts()))
  const engines = new Map<string, EngineSim>()
  for (const { engine: options, fixedMs, name } of plans) {
    const profile = fixedMs === undefined ? ({ profile: 'instant' } as const) : ({ profile: 'fixed', fixedMs } as const)
    const engine = keep(await startEngineSim({ ...profile, ...options }))
    engines.set(name, engine)
    // As the worker's own process does.
    const set = await loadPools({ config, env, queueUrlDefault: undefined, only: name })
    const pool = poolNamed(set, name)
    const queues = await openQueues({ url: pool.queueUrl, clock, logger, leaseMs: config.queueLeaseMs })
    keep({ stop: () => queues.close() })
    keep(
      await startWorker({
        ...{ clock, logger, registry: makeRegistry(), queues, bus, engine: { url: engine.url } },
        config: { ...config, pool: name, engineInFlight: 8 },
        blobs: openBlobs({ url: pool.blobUrl ?? fileStoreUrlOf(config) }),
      }),
    )
  }
  const gateway = keep(await startGateway(parts()))
  const openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: key, maxRetries: 0 })
  const inputs = new Map<string, string>()

  const admin = async (method: string, path: string) => {
    const response = await fetch(`${gateway.url}${path}`, { method, headers: { authorization: `Bearer ${key}` } })
    return (await response.json()) as { data: PoolView[] } & PoolView
  }
  const harness = {
    ...{ db, engines, openai, storeUrls, url: gateway.url, key },
    pools: async () => (await admin('GET', '/admin/pools')).data,
    drain: (pool: string) => admin('POST', `/admin/pools/${pool}/drain`),
    undrain: (pool: string) => admin('POST', `/admin/pools/${pool}/undrain`),
    /** Resolves when every pool has a worker with a model. */
    ready: () =>
      eventually(async () => (await harness.pools()).every((pool) => pool.models.length > 0), { what: 'all pools' }),
    /** Submits a batch of so many lines. */
    async submit(lines: number, more: Record<string, unknown> = {}) {
      const text = Array.from({ length: lines }, (_, i) => requestLine(i)).join('')
      const file = await openai.files.create({ purpose: 'batch', file: await toFile(Buffer.from(text), 'in.jsonl') })
      const request = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' } as const
      const batch = await openai.batches.create({ ...request, ...more })
      inputs.set(batch.id, text)
      return batch.id
    },
    /** Waits for a batch's end and holds it to the checker: every line once, every charge right. */
    async expectComplete(id: string) {
      const batch = await eventually(
        async () => {
          const now = await openai.batches.retrieve(id)
          return ['completed', 'failed', 'expired', 'cancelled'].includes(now.status) ? now : undefined
        },
        { what: `batch ${id} to end`, timeoutMs: 60_000 },
      )
      const content = async (file?: string | null) => (file ? (await openai.files.content(file)).text() : '')
      const counts = batch.request_counts ?? { total: 0, completed: 0, failed: 0 }
      const [output, errors] = [await content(batch.output_file_id), await content(batch.error_file_id)]
      const { status } = batch
      const files = { id, status, counts, input: inputs.get(id) ?? '', output, errors }
      const report = await check({ databaseUrl: database.url, batches: [files] })
      return { ...report, ...counts }
    },
    /** Lines done by each pool. */
    async linesByPool(id: string): Promise<Record<string, number>> {
      const rows = await db.query<{ pool: string; count: number }>(
        'SELECT pool, count(*) FROM requests WHERE batch_id = $1 GROUP BY pool ORDER BY pool',
        [id],
      )
      return Object.fromEntries(rows.map(({ pool, count }) => [pool, count]))
    },
    stop: () => stopAll(started),
  }
  return harness
}

/** What `startPools` gives. */
export type PoolsHarness = Awaited<ReturnType<typeof startPools>>

function requestLine(i: number): string {
  const messages = [{ role: 'user', content: `Item ${i}: name a river.` }]
  const body = { model: 'forebay-sim', max_tokens: 8 + (i % 8), messages }
  return `${JSON.stringify({ custom_id: `line-${i}`, method: 'POST', url: '/v1/chat/completions', body })}\n`
}
