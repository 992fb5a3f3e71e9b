import type { BlobStore } from '@forebay/blobs'
import { releaseBatchHolds } from '@forebay/budgets'
import type { Config } from '@forebay/config'
import { blobKeys } from '@forebay/contracts'
import { type Clock, isForebayError, type Logger } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import { readDistrust } from '@forebay/rollouts'
import type { Database } from '@forebay/store'
import type { BatchRow } from './batch-row.ts'
import { recordBatchEvent } from './events.ts'
import { watchStores } from './finalise/watch-stores.ts'
import type { SchedulerMetrics } from './metrics.ts'
import type { ModelBook } from './models.ts'
import { aliasedLines } from './plan/aliased-lines.ts'
import { holdEstimate } from './plan/hold-estimate.ts'
import { type PlanOutcome, planBatch } from './plan/plan-batch.ts'
import { storePlan } from './plan/store-plan.ts'
import { servedModels } from './pools/pool-book.ts'
import { sayWaiting } from './say-waiting.ts'

/** What planning a claimed batch needs. */
export interface PlanningOptions {
  db: Database
  blobs: BlobStore
  clock: Clock
  logger: Logger
  config: Pick<Config, 'maxLineBytes' | 'maxBatchRequests' | 'chunkRequests' | 'chunkTokens' | 'runIdenticalOnce'>
  metrics: SchedulerMetrics
  pools: Pools
  models: Pick<ModelBook, 'cacheTokens'>
}

/**
 * Plans a claimed batch: validating → in_progress with its chunks, or → failed with its faults, in one transaction. A
 * batch that was cancelled, closed or taken over meanwhile is left alone. Of a store that does not answer, the batch
 * says that it waits for it.
 */
export async function planClaimed(
  options: PlanningOptions,
  batch: BatchRow,
  owner: string,
  signal: AbortSignal,
): Promise<void> {
  const stores = watchStores({ files: options.blobs })
  try {
    await plan({ ...options, blobs: stores.files }, batch, owner, signal)
  } catch (err) {
    if (!signal.aborted) await sayWaiting(options.db, { batchId: batch.id, owner, waitingFor: stores.waitingFor() })
    throw err
  }
}

async function plan(options: PlanningOptions, batch: BatchRow, owner: string, signal: AbortSignal): Promise<void> {
  const { db, blobs, clock, logger, metrics } = options
  const startMs = clock.now()
  const served = await servedModels(db, options.pools)
  const poolsOf = (model: string) => [...served].filter(([, models]) => models.has(model)).map(([pool]) => pool)
  const outcome = await readAndPlan(options, batch, (model) => poolsOf(model).length > 0, signal)
  if (!outcome.valid) {
    await fail(options, batch, owner, outcome)
    logger.info({ batchId: batch.id, faults: outcome.errors.length }, 'batch failed validation')
    return
  }
  const planKey = blobKeys.plan(batch.tenantId, batch.id)
  await blobs.put(planKey, outcome.plan)
  const { residency } = batch
  const may = (name: string) => residency === null || options.pools.spec(name)?.residency.includes(residency)
  const pool = outcome.parts.flatMap(({ model }) => poolsOf(model).filter(may)).sort()[0] ?? null
  const stored = await db
    .tx(async (tx) => {
      const moved = await storePlan(tx, { batchId: batch.id, owner, pool, outcome })
      if (moved) await holdEstimate(tx, batch, outcome)
      return moved
    })
    .catch(async (err: unknown) => {
      if (!isForebayError(err) || err.code !== 'insufficient_quota') throw err
      const errors = [{ code: 'budget_exceeded', message: err.message, param: null, line: null }]
      await fail(options, batch, owner, { valid: false, errors })
      logger.info({ batchId: batch.id }, 'batch does not fit a budget')
      return undefined
    })
  if (stored === undefined) return
  if (!stored) {
    logger.info({ batchId: batch.id }, 'plan dropped: the batch moved on meanwhile')
    return
  }
  metrics.linesPlanned.inc(outcome.total)
  metrics.identicalPlanned.inc(outcome.identical)
  metrics.expectedShare.observe({ order: 'plan' }, outcome.expectedShare)
  metrics.expectedShare.observe({ order: 'file' }, outcome.fileOrderShare)
  metrics.planningSeconds.observe((clock.now() - startMs) / 1000)
  const chunks = outcome.chunks.entries.length
  logger.info({ batchId: batch.id, requests: outcome.total, chunks, pool }, 'batch planned')
}

async function readAndPlan(
  options: PlanningOptions,
  batch: BatchRow,
  knowsModel: (model: string) => boolean,
  signal: AbortSignal,
): Promise<PlanOutcome> {
  const cacheTokens = (model: string) => options.models.cacheTokens(model)
  const distrust = await readDistrust(options.db, options.pools.routes)
  const lines = aliasedLines({ rules: options.pools.routes, batch, knowsModel, distrust })
  const rules = { ...options.config, endpoint: batch.endpoint, cacheTokens, ...lines }
  const message = `Cannot find file ${batch.inputFileId}, or the organization does not have access to it.`
  const gone: PlanOutcome = {
    valid: false,
    errors: [{ code: 'invalid_request', message, param: 'file_id', line: null }],
  }
  if (!batch.inputThere) return gone
  try {
    return await planBatch({ input: await options.blobs.read(batch.inputKey), rules, signal })
  } catch (err) {
    if (isForebayError(err) && err.code === 'not_found') return gone
    throw err
  }
}

async function fail(
  options: PlanningOptions,
  batch: BatchRow,
  owner: string,
  outcome: Extract<PlanOutcome, { valid: false }>,
): Promise<void> {
  await options.db.tx(async (tx) => {
    const rows = await tx.query(
      `UPDATE batches SET status = 'failed', failed_at = now(), errors = $3
       WHERE id = $1 AND claimed_by = $2 AND status = 'validating' AND closed_at IS NULL RETURNING id`,
      [batch.id, owner, JSON.stringify(outcome.errors)],
    )
    if (rows.length === 0) return
    await releaseBatchHolds(tx, batch.id)
    await recordBatchEvent(tx, options.clock, batch, 'failed')
  })
}
