import type { ResultEvent } from '@forebay/contracts'
import { computeNano } from '@forebay/pricing'
import type { Queryable } from '@forebay/store'
import { storable } from './arrival.ts'
import { unnest } from './unnest.ts'
import { type CostPerGpuHour, gpuMicros } from './write-ledger.ts'

/** What one worker told of an interval of its engine's time beside the requests that ended in it. */
interface Interval {
  id: string
  workerId: string
  pool: string
  toMs: number
  idleMicros: number
  unfinishedMicros: number
}

/**
 * Records the engines' time that no request ended with: idle as an entry of the ledger that belongs to nobody, that of
 * requests which ended without a result there as waste. An interval is recorded once, however often its event comes.
 */
export async function recordEngineTime(
  tx: Queryable,
  events: readonly ResultEvent[],
  costPerGpuHour: CostPerGpuHour,
): Promise<void> {
  const intervals = new Map<string, Interval>()
  for (const event of events) {
    if (event.idle === null) continue
    const { fromMs, gpuMs, toMs, unfinishedGpuMs } = event.idle
    const { pool, workerId } = storable({ pool: event.pool, workerId: event.workerId })
    const id = `idle_${workerId}_${Math.round(fromMs * 1000)}`
    const [idleMicros, unfinishedMicros] = [gpuMicros(gpuMs) ?? 0, gpuMicros(unfinishedGpuMs) ?? 0]
    intervals.set(id, { id, workerId, pool, toMs, idleMicros, unfinishedMicros })
  }
  await insertIdle(
    tx,
    [...intervals.values()].filter((i) => i.idleMicros > 0),
    costPerGpuHour,
  )
  await insertUnfinished(
    tx,
    [...intervals.values()].filter((i) => i.unfinishedMicros > 0),
    costPerGpuHour,
  )
}

async function insertIdle(tx: Queryable, intervals: readonly Interval[], cost: CostPerGpuHour): Promise<void> {
  if (intervals.length === 0) return
  const rows = unnest(intervals, {
    request_id: ['text', (i) => i.id],
    pool: ['text', (i) => i.pool],
    gpu_micros: ['bigint', (i) => i.idleMicros],
    compute_nano: ['bigint', (i) => computeNano(i.idleMicros, cost(i.pool))],
    occurred_at: ['timestamptz', (i) => new Date(i.toMs).toISOString()],
  })
  await tx.query(
    `INSERT INTO ledger (kind, project_id, prompt_tokens, completion_tokens, reasoning_tokens, amount_nano, price_ids, ${rows.names})
     SELECT 'idle', NULL, 0, 0, 0, 0, '{}', ${rows.names} FROM ${rows.from} ORDER BY request_id
     ON CONFLICT (request_id, kind) DO NOTHING`,
    rows.values,
  )
}

async function insertUnfinished(tx: Queryable, intervals: readonly Interval[], cost: CostPerGpuHour): Promise<void> {
  if (intervals.length === 0) return
  const rows = unnest(intervals, {
    request_id: ['text', (i) => i.id],
    worker_id: ['text', (i) => i.workerId],
    pool: ['text', (i) => i.pool],
    gpu_micros: ['bigint', (i) => i.unfinishedMicros],
    compute_nano: ['bigint', (i) => computeNano(i.unfinishedMicros, cost(i.pool))],
  })
  await tx.query(
    `INSERT INTO waste (attempt, reason, prompt_tokens, completion_tokens, ${rows.names})
     SELECT 1, 'unfinished', 0, 0, ${rows.names} FROM ${rows.from} ORDER BY request_id ON CONFLICT DO NOTHING`,
    rows.values,
  )
}
