import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { openFolderBlobs } from '@forebay/blobs'
import { loadConfig } from '@forebay/config'
import { silentLogger } from '@forebay/kernel'
import { planBatch, storePlan } from '@forebay/scheduler'
import { ensureTenant, openDatabase } from '@forebay/store'
import type { IngestPoint, IngestTask } from './ingest.ts'

// Started by ingest.ts with its task as the argument; answers with one message.
const task: IngestTask = JSON.parse(process.argv[2] ?? '')
const { lines, key } = task
const { config } = loadConfig({})
const blobs = openFolderBlobs({ root: task.root })
const db = openDatabase({ url: task.databaseUrl, logger: silentLogger })
const [batchId, fileId, owner] = [`batch_${lines}`, `file-${lines}`, 'bench']
await ensureTenant(db, { id: 'bench' })
await db.query(
  `INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key) VALUES ($1, 'bench', $1, 'batch', 0, '\\x00', $2)`,
  [fileId, key],
)
await db.query(
  `INSERT INTO batches (id, tenant_id, api_key_id, endpoint, input_file_id, completion_window, expires_at, claimed_by)
   VALUES ($1, 'bench', 'none', '/v1/chat/completions', $2, '24h', now() + interval '1 day', $3)`,
  [batchId, fileId, owner],
)

const pauses = monitorEventLoopDelay({ resolution: 1 })
const rssBefore = process.memoryUsage.rss()
pauses.enable()
const startMs = performance.now()
const rules = {
  ...config,
  maxBatchRequests: lines,
  endpoint: '/v1/chat/completions',
  cacheTokens: () => 262_144,
  knowsModel: (model: string) => model === 'bench-model',
} as const
const outcome = await planBatch({ input: await blobs.read(key), rules })
if (!outcome.valid) throw new Error(`the generated file has faults: ${JSON.stringify(outcome.errors.slice(0, 3))}`)
await blobs.put(`plans/${lines}`, outcome.plan)
await db.tx((tx) => storePlan(tx, { batchId, owner, pool: 'bench', outcome }))
const seconds = (performance.now() - startMs) / 1000
pauses.disable()

const point: IngestPoint = {
  lines,
  fileMb: Math.round(((await blobs.size(key)) ?? 0) / 1e5) / 10,
  seconds: Math.round(seconds * 100) / 100,
  linesPerSecond: Math.round(lines / seconds),
  extraRssMb: Math.round((process.resourceUsage().maxRSS * 1024 - rssBefore) / 1e5) / 10,
  longestPauseMs: Math.round(pauses.max / 1e6),
  chunks: outcome.chunks.entries.length,
}
await db.stop()
process.send?.(point)
