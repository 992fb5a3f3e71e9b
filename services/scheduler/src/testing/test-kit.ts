import type { BlobStore } from '@forebay/blobs'
import { openFolderBlobs } from '@forebay/blobs'
import { type Config, loadConfig } from '@forebay/config'
import { batchRequestId, blobKeys, type ChunkJob, queueName, workJobSchema } from '@forebay/contracts'
import { makeRegistry, newId, type Running, silentLogger, systemClock } from '@forebay/kernel'
import { decodePlanEntries } from '@forebay/plan'
import { type Pools, singlePool } from '@forebay/pools'
import { JobReceiver, type LeasedJob, makeJsonCodec } from '@forebay/queue-core'
import { makeMemoryProvider } from '@forebay/queue-memory'
import { makeMemoryReplyBus } from '@forebay/reply-bus'
import { type Database, ensureTenant, openDatabase, type Row } from '@forebay/store'
import { tempDir, testDatabase } from '@forebay/test-support'
import { startScheduler } from '../scheduler.ts'

/** A chunk job as a worker holds it. */
export type Held = LeasedJob<ChunkJob>

/** Everything a scheduler needs, real but for the broker, with a hand-worked worker and results service. */
export async function makeTestKit(settings: Partial<Config> = {}) {
  const database = await testDatabase()
  const db = openDatabase({ url: database.url, logger: silentLogger })
  const blobs = openFolderBlobs({ root: await tempDir() })
  const clock = systemClock
  const queues = makeMemoryProvider({ clock })
  const pools = singlePool({ name: 'default', queues, blobs, clock, logger: silentLogger })
  const bus = makeMemoryReplyBus()
  const config: Config = { ...loadConfig({}).config, chunkRequests: 4, ...settings }
  const receiver = new JobReceiver<ChunkJob>({
    driver: queues.queue(queueName('default', 'batch')),
    codec: makeJsonCodec(workJobSchema as unknown as { parse(value: unknown): ChunkJob }),
    clock,
    logger: silentLogger,
    leaseMs: 60_000,
    maxAttempts: 10,
  })
  await ensureTenant(db, { id: 'acme' })
  await db.query(`INSERT INTO models (pool, model, engine) VALUES ('default', 'm', 'test')`)
  const schedulers: Running[] = []
  const kit = {
    db,
    blobs,
    queues,
    pools,
    bus,
    receiver,
    /** `on`: what this scheduler runs on in place of the kit's own. */
    start: async (more: Partial<Config> = {}, on: { blobs?: BlobStore; pools?: Pools } = {}) => {
      const deps = { config: { ...config, ...more }, clock, logger: silentLogger, registry: makeRegistry() }
      const scheduler = await startScheduler({ ...deps, db, blobs, pools, bus, ...on })
      schedulers.push(scheduler)
      return scheduler
    },
    submit: (lines: readonly string[], more: SubmitOptions = {}) => submit(db, blobs, lines, more),
    batch: (id: string) => readBatch(db, id),
    take: async (max = 1): Promise<Held[]> => [...(await receiver.receive({ max, waitMs: 5000 }))],
    note: (job: ChunkJob, state: 'held' | 'returned') => note(db, job, state),
    record: (job: ChunkJob, lines?: readonly number[]) => record(db, blobs, job, lines),
    stop: async () => {
      for (const scheduler of schedulers) await scheduler.stop()
      await receiver.stop()
      await queues.close()
      await bus.stop()
      await db.stop()
      await database.drop()
    },
  }
  return kit
}

export type TestKit = Awaited<ReturnType<typeof makeTestKit>>

/** A valid line. */
export const line = (customId: string, content = 'hello', model = 'm') =>
  JSON.stringify({
    custom_id: customId,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model, max_tokens: 16, messages: [{ role: 'user', content }] },
  })

interface SubmitOptions {
  window?: string
  tenantId?: string
  residency?: string
}

async function submit(db: Database, blobs: BlobStore, lines: readonly string[], more: SubmitOptions): Promise<string> {
  const tenantId = more.tenantId ?? 'acme'
  const fileId = newId('file-', systemClock.now())
  const batchId = newId('batch_', systemClock.now())
  const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''))
  await blobs.put(blobKeys.file(tenantId, fileId), bytes)
  await db.query(
    `INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key) VALUES ($1, $2, 'in.jsonl', 'batch', $3, '\\x00', $4)`,
    [fileId, tenantId, bytes.length, blobKeys.file(tenantId, fileId)],
  )
  await db.query(
    `INSERT INTO batches (id, tenant_id, api_key_id, endpoint, input_file_id, completion_window, expires_at, residency)
     VALUES ($1, $2, 'key_1', '/v1/chat/completions', $3, '24h', now() + $4::interval, $5)`,
    [batchId, tenantId, fileId, more.window ?? '24 hours', more.residency ?? null],
  )
  await db.query("SELECT pg_notify('forebay_batches', $1)", [batchId])
  return batchId
}

/** What a test looks at in a batch. */
export interface BatchView extends Row {
  status: string
  total: number
  completed: number
  failed: number
  errors: { code: string; line: number | null }[] | null
  waiting_for: string | null
}

interface OutLine {
  id: string
  custom_id: string
  response: { status_code: number } | null
  error: { code: string } | null
}

async function readBatch(db: Database, id: string): Promise<BatchView> {
  const [row] = await db.query<BatchView>('SELECT * FROM batches WHERE id = $1', [id])
  if (!row) throw new Error(`no batch ${id}`)
  return row
}

/** The parsed lines of a file of a batch; undefined when it has no such file. */
export async function readLines(kit: TestKit, fileId: unknown): Promise<OutLine[] | undefined> {
  if (typeof fileId !== 'string') return undefined
  const [file] = await kit.db.query<{ blob_key: string; bytes: number }>('SELECT * FROM files WHERE id = $1', [fileId])
  if (!file) throw new Error(`no file ${fileId}`)
  const text = (await kit.blobs.readRange(file.blob_key, 0, file.bytes)).toString()
  return text
    .trimEnd()
    .split('\n')
    .map((each): OutLine => JSON.parse(each))
}

async function note(db: Database, job: ChunkJob, state: 'held' | 'returned'): Promise<void> {
  await db.query(
    `INSERT INTO chunk_progress (batch_id, chunk, returned_attempt) VALUES ($1, $2, $3)
     ON CONFLICT (batch_id, chunk) DO UPDATE SET last_seen_at = now(),
       returned_attempt = greatest(chunk_progress.returned_attempt, excluded.returned_attempt)`,
    [job.batchId, job.chunk, state === 'returned' ? job.attempt : 0],
  )
  await db.query("SELECT pg_notify('forebay_progress', '')")
}

/** Does what a worker and results do with a chunk: a part, audit rows, counters, progress. Every seventh line fails. */
async function record(db: Database, blobs: BlobStore, job: ChunkJob, only?: readonly number[]): Promise<void> {
  const entries = decodePlanEntries(Buffer.from(job.entries, 'base64')).filter(
    (entry) => !only || only.includes(entry.line),
  )
  const partKey = blobKeys.part(job.tenantId, job.batchId, newId('', systemClock.now()))
  const texts: Buffer[] = []
  const rows: { line: number; customId: string; ok: boolean; bytes: number }[] = []
  for (const { line: number, offset, length } of entries) {
    const input: { custom_id: string } = JSON.parse(
      (await blobs.readRange(job.inputKey, offset, offset + length)).toString(),
    )
    const ok = number % 7 !== 0
    const response = { status_code: ok ? 200 : 400, request_id: 'r', body: { line: number } }
    const id = batchRequestId(job.batchId, number)
    const text = Buffer.from(`${JSON.stringify({ id, custom_id: input.custom_id, response, error: null })}\n`)
    texts.push(text)
    rows.push({ line: number, customId: input.custom_id, ok, bytes: text.length })
  }
  await blobs.put(partKey, Buffer.concat(texts))
  await db.tx(async (tx) => {
    const [open] = await tx.query('SELECT 1 FROM batches WHERE id = $1 AND closed_at IS NULL FOR UPDATE', [job.batchId])
    if (!open) return
    let at = 0
    let [done, completed] = [0, 0]
    for (const row of rows) {
      const inserted = await tx.query(
        `INSERT INTO requests (born, id, tenant_id, batch_id, line, chunk, custom_id, endpoint, model, pool, lane, worker_id,
           attempt, outcome, status_code, part_key, part_offset, part_bytes, finished_at)
         VALUES (born_of($1), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'w', $11, $12, $13, $14, $15, $16, now())
         ON CONFLICT DO NOTHING RETURNING id`,
        [
          batchRequestId(job.batchId, row.line),
          job.tenantId,
          job.batchId,
          row.line,
          job.chunk,
          row.customId,
          job.endpoint,
          job.model,
          job.pool,
          job.lane,
          job.attempt,
          row.ok ? 'succeeded' : 'failed',
          row.ok ? 200 : 400,
          partKey,
          at,
          row.bytes,
        ],
      )
      at += row.bytes
      done += inserted.length
      if (row.ok) completed += inserted.length
    }
    await tx.query('UPDATE batches SET completed = completed + $2, failed = failed + $3 WHERE id = $1', [
      job.batchId,
      completed,
      done - completed,
    ])
    await tx.query(
      `INSERT INTO chunk_progress (batch_id, chunk, done) VALUES ($1, $2, $3)
       ON CONFLICT (batch_id, chunk) DO UPDATE SET done = chunk_progress.done + excluded.done, last_seen_at = now()`,
      [job.batchId, job.chunk, done],
    )
    await tx.query("SELECT pg_notify('forebay_progress', '')")
  })
}
