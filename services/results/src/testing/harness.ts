import { randomUUID } from 'node:crypto'
import { openFolderBlobs } from '@forebay/blobs'
import { batchRequestId, type RequestResult, type ResultEvent, resultEventSchema } from '@forebay/contracts'
import { makeRegistry, silentLogger, systemClock } from '@forebay/kernel'
import { singlePool } from '@forebay/pools'
import { makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import { type MemoryQueue, makeMemoryProvider } from '@forebay/queue-memory'
import { type Database, openDatabase } from '@forebay/store'
import { tempDir, testDatabase } from '@forebay/test-support'
import { onTestFinished } from 'vitest'
import { startResults } from '../start-results.ts'

/** A migrated database with a tenant in it, of the test's own unless told when it ends. */
export async function openTestDatabase(onEnd: (end: () => Promise<void>) => void = onTestFinished): Promise<Database> {
  const { drop, url } = await testDatabase()
  const db = openDatabase({ url, logger: silentLogger, connectionsMax: 12 })
  onEnd(async () => {
    await db.stop()
    await drop()
  })
  await db.query(`INSERT INTO tenants (id, name) VALUES ('acme', 'Acme')`)
  return db
}

/** A batch in progress; answers its id. */
export async function addBatch(db: Database, total: number): Promise<string> {
  const id = `batch_${randomUUID().replaceAll('-', '')}`
  await db.query(
    `INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key)
     VALUES ('file-1', 'acme', 'in.jsonl', 'batch', 1, '', 'k') ON CONFLICT DO NOTHING`,
  )
  await db.query(
    `INSERT INTO batches (id, tenant_id, api_key_id, endpoint, input_file_id, completion_window, status, total, expires_at)
     VALUES ($1, 'acme', 'key_1', '/v1/chat/completions', 'file-1', '24h', 'in_progress', $2, now() + interval '1 day')`,
    [id, total],
  )
  return id
}

/** A succeeded result of 100 prompt and 10 completion tokens: of a batch's line, or a live one when `batchId` is null. */
export function resultOf(over: Partial<RequestResult> & { batchId: string | null }): RequestResult {
  const line = over.line ?? 1
  const batched = over.batchId !== null
  return {
    requestId: over.batchId === null ? `req_${randomUUID()}` : batchRequestId(over.batchId, line),
    tenantId: 'acme',
    apiKeyId: 'key_1',
    line: batched ? line : null,
    chunk: batched ? Math.floor((line - 1) / 64) : null,
    customId: batched ? `line-${line}` : null,
    endpoint: '/v1/chat/completions',
    model: 'm',
    pool: 'default',
    lane: batched ? 'batch' : 'realtime',
    attempt: 1,
    outcome: 'succeeded',
    statusCode: 200,
    errorCode: null,
    usage: { promptTokens: 100, cachedTokens: 20, completionTokens: 10, reasoningTokens: 4 },
    queuedMs: 5,
    firstTokenMs: 10,
    durationMs: 50,
    finishedAtMs: Date.now(),
    batcherMs: 0,
    source: 'engine',
    gpuMs: null,
    modelVersion: null,
    bodyHash: null,
    requestBytes: null,
    bytes: batched ? { offset: 0, length: 10 } : null,
    ...over,
  }
}

/** An event of worker `w1` with these results. */
export function eventOf(results: RequestResult[], over: Partial<ResultEvent> = {}): ResultEvent {
  return {
    v: 1,
    kind: 'results',
    id: randomUUID(),
    workerId: 'w1',
    pool: 'default',
    sentAtMs: Date.now(),
    partKey: 'part-1',
    results,
    chunks: [],
    idle: null,
    ...over,
  }
}

/** The service on memory queues, `replicas` times, with what a test needs to drive and watch it. */
export async function runResults(db: Database, replicas = 1) {
  const queues = makeMemoryProvider({ clock: systemClock })
  const blobs = openFolderBlobs({ root: tempDir() })
  const pools = singlePool({ name: 'default', queues, blobs, clock: systemClock, logger: silentLogger })
  const registry = makeRegistry()
  const start = (metrics = makeRegistry()) =>
    startResults({
      config: {
        ...{ queueLeaseMs: 30_000, auditKey: undefined, dataDir: tempDir(), retentionAuditDays: undefined },
        ...{ qualityRepetitionMax: 0.5, qualityPerplexityMax: 100 },
      },
      clock: systemClock,
      logger: silentLogger,
      registry: metrics,
      db,
      pools,
    })
  const running = [await start(registry)]
  while (running.length < replicas) running.push(await start())
  const stop = () => Promise.all(running.map((service) => service.stop()))
  onTestFinished(async () => {
    await stop()
    await queues.close()
  })
  const codec = makeJsonCodec(resultEventSchema)
  return {
    queues,
    registry,
    stop,
    async send(events: readonly ResultEvent[], pool = 'default') {
      const sender = makeJobSender({ driver: queues.queue(`${pool}.results`), codec })
      const sent = await sender.send(events.map((job) => ({ id: job.id, job })))
      if (sent.some((item) => !item.ok)) throw new Error('an event was not taken by the queue')
    },
    /** Why each dead-lettered event died. */
    deadReasons: () => (queues.queue('default.results') as MemoryQueue).deadReasons(),
    /** True once every event was acknowledged or dead-lettered. */
    async drained(pool = 'default') {
      const depth = await queues.queue(`${pool}.results`).depth()
      return depth.visible + depth.inFlight + depth.delayed === 0
    },
  }
}

/** The first row of a statement. */
export async function one(db: Database, sql: string, values: readonly unknown[] = []) {
  const [row] = await db.query(sql, values)
  if (!row) throw new Error(`no row: ${sql}`)
  return row
}
