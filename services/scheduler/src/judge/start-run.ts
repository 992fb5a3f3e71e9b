import { createHash } from 'node:crypto'
import type { BlobStore } from '@forebay/blobs'
import type { Config } from '@forebay/config'
import { judgeTenantId } from '@forebay/contracts'
import { type Clock, isForebayError, type Logger, newId } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import { type Database, ensureTenant, type Row } from '@forebay/store'
import { judgeLine } from './judge-request.ts'
import { type Sampled, sampleAnswers } from './sample.ts'

const windowDays = 7

/** The settings of judging. */
export type JudgeConfig = Pick<Config, 'judgeModel' | 'judgeShare' | 'judgeScoreMin' | 'judgeAlertShare'>

/** What judging needs. */
export interface JudgeOptions {
  db: Database
  blobs: BlobStore
  pools: Pools
  clock: Clock
  logger: Logger
  config: JudgeConfig
}

interface DueBatch extends Row {
  id: string
  tenantId: string
  residency: string | null
  inputKey: string
  share: number
}

/**
 * Draws a sample of the answers of one batch that completed within the last day, and submits it to the judge model as a
 * batch of the judge's own tenant, within the same residency. Done once for each batch, however many replicas try it;
 * false when no batch is due. A tenant with zero retention is never judged, and nothing that was erased.
 */
export async function startJudgeRun(options: JudgeOptions): Promise<boolean> {
  const { blobs, clock, config, db, logger, pools } = options
  const { judgeModel: model } = config
  if (model === undefined) return false
  const batch = await dueBatch(db, config)
  if (!batch) return false
  const storeOf = (pool: string) => pools.blobs(pool)
  const sampled = await sampleAnswers({ db, storeOf, files: blobs, batch, share: batch.share }).catch(noneIfGone)
  const bytes = Buffer.from(sampled.map((one) => judgeLine({ ...one, id: one.requestId, model })).join(''))
  // Beside what else is of the batch, so that it goes when that goes.
  const key = `tenants/${batch.tenantId}/batches/${batch.id}/judge`
  if (sampled.length > 0) await blobs.put(key, bytes)
  await ensureTenant(db, { id: judgeTenantId, name: 'Judge of answers' })
  const judgeBatchId = newId('batch_', clock.now())
  const started = await db.tx(async (tx) => {
    const first = await tx.query(
      `INSERT INTO judge_runs (batch_id, sampled, read_at)
       SELECT id, $2::int, CASE WHEN $2::int = 0 THEN now() END FROM batches WHERE id = $1 AND erased_at IS NULL
       ON CONFLICT DO NOTHING RETURNING batch_id`,
      [batch.id, sampled.length],
    )
    if (first.length === 0 || sampled.length === 0) return false
    const fileId = newId('file-', clock.now())
    await tx.query(
      `INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key)
       VALUES ($1, $2, $3, 'batch', $4, $5, $6)`,
      [
        fileId,
        judgeTenantId,
        `${batch.id}_judge.jsonl`,
        bytes.length,
        createHash('sha256').update(bytes).digest(),
        key,
      ],
    )
    await tx.query(
      `INSERT INTO batches (id, tenant_id, api_key_id, endpoint, input_file_id, completion_window, residency, expires_at)
       VALUES ($1, $2, 'judge', '/v1/chat/completions', $3, $4, $5, now() + $6 * interval '1 day')`,
      [judgeBatchId, judgeTenantId, fileId, `${windowDays}d`, batch.residency, windowDays],
    )
    await tx.query('UPDATE judge_runs SET judge_batch_id = $2 WHERE batch_id = $1', [batch.id, judgeBatchId])
    await tx.query("SELECT pg_notify('forebay_batches', $1)", [judgeBatchId])
    return true
  })
  if (started) logger.info({ batchId: batch.id, judgeBatchId, sampled: sampled.length }, 'answers go to the judge')
  return true
}

/** What is gone, as when retention was quicker, is not judged. */
function noneIfGone(err: unknown): Sampled[] {
  if (isForebayError(err) && err.code === 'not_found') return []
  throw err
}

async function dueBatch(db: Database, { judgeShare }: JudgeConfig): Promise<DueBatch | undefined> {
  const [batch] = await db.query<DueBatch>(
    `SELECT b.id, b.tenant_id AS "tenantId", b.residency, f.blob_key AS "inputKey",
       coalesce(q.judge_share, $2)::float8 AS share
     FROM batches b JOIN files f ON f.id = b.input_file_id AND f.deleted_at IS NULL
       LEFT JOIN tenant_quality q ON q.tenant_id = b.tenant_id
     WHERE b.status = 'completed' AND b.completed_at > now() - interval '1 day' AND b.tenant_id <> $1
       AND b.endpoint <> '/v1/embeddings' AND b.erased_at IS NULL AND coalesce(q.judge_share, $2) > 0
       AND NOT EXISTS (SELECT 1 FROM tenant_retention r WHERE r.tenant_id = b.tenant_id AND r.zero)
       AND NOT EXISTS (SELECT 1 FROM judge_runs j WHERE j.batch_id = b.id)
     ORDER BY b.completed_at LIMIT 1`,
    [judgeTenantId, judgeShare],
  )
  return batch
}
