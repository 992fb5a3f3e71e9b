import { bornOf } from '@forebay/contracts'
import { computeNano } from '@forebay/pricing'
import type { Queryable } from '@forebay/store'
import type { Arrival } from './arrival.ts'
import { unnest } from './unnest.ts'
import { type CostPerGpuHour, gpuMicros } from './write-ledger.ts'

/** Why a result was not committed: another attempt was first, or its batch was closed or is unknown. */
export type WasteReason = 'duplicate' | 'closed'

/**
 * Records the tokens of results that were not committed, unless the audit row is of the same worker and attempt: then
 * the event was only delivered again. Answers the reasons of the rows that are new.
 */
export async function recordWaste(
  tx: Queryable,
  arrivals: readonly Arrival[],
  openBatches: ReadonlySet<string>,
  costPerGpuHour: CostPerGpuHour,
): Promise<WasteReason[]> {
  if (arrivals.length === 0) return []
  const found = await tx.query<{ id: string; worker_id: string; attempt: number }>(
    'SELECT id, worker_id, attempt FROM requests WHERE id = ANY ($1) AND born = ANY ($2)',
    [arrivals.map((a) => a.requestId), [...new Set(arrivals.map((a) => bornOf(a.requestId)))]],
  )
  const winners = new Map(found.map((row) => [row.id, row]))
  const wasted = arrivals.filter((a) => {
    const winner = winners.get(a.requestId)
    return winner?.worker_id !== a.workerId || winner.attempt !== a.attempt
  })
  if (wasted.length === 0) return []
  const isOpen = (a: Arrival) => a.batchId === null || openBatches.has(a.batchId)
  return insertWaste(tx, wasted, {
    costPerGpuHour,
    reasonOf: (a) => (winners.has(a.requestId) || isOpen(a) ? 'duplicate' : 'closed'),
  })
}

/** Records what failed requests, which are not charged, have used. */
export async function recordFailed(
  tx: Queryable,
  failed: readonly Arrival[],
  costPerGpuHour: CostPerGpuHour,
): Promise<void> {
  const used = failed.filter((a) => a.usage.promptTokens + a.usage.completionTokens > 0 || (a.gpuMs ?? 0) > 0)
  if (used.length > 0) await insertWaste(tx, used, { costPerGpuHour, reasonOf: () => 'failed' })
}

/** Records what answers took that did not fit the check of their batch. Their engine time is part of their request's. */
export async function recordDiscarded(tx: Queryable, committed: readonly Arrival[]): Promise<void> {
  const rows = committed.flatMap((arrival) => {
    // Next to none has any: the others are not copied.
    if (arrival.discarded === undefined) return []
    const { discarded, ...rest } = arrival
    const usage = { ...rest.usage, ...discarded }
    return [{ ...rest, usage, gpuMs: null }]
  })
  if (rows.length === 0) return
  await insertWaste(tx, rows, { costPerGpuHour: () => undefined, reasonOf: () => 'check' })
}

async function insertWaste<R extends string>(
  tx: Queryable,
  arrivals: readonly Arrival[],
  options: { costPerGpuHour: CostPerGpuHour; reasonOf: (arrival: Arrival) => R },
): Promise<R[]> {
  const { costPerGpuHour, reasonOf } = options
  const rows = unnest(arrivals, {
    request_id: ['text', (a) => a.requestId],
    worker_id: ['text', (a) => a.workerId],
    attempt: ['int', (a) => a.attempt],
    reason: ['text', reasonOf],
    tenant_id: ['text', (a) => a.tenantId],
    batch_id: ['text', (a) => a.batchId],
    pool: ['text', (a) => a.pool],
    model: ['text', (a) => a.model],
    prompt_tokens: ['int', (a) => a.usage.promptTokens + (a.discarded?.promptTokens ?? 0)],
    completion_tokens: ['int', (a) => a.usage.completionTokens + (a.discarded?.completionTokens ?? 0)],
    gpu_micros: ['bigint', (a) => gpuMicros(a.gpuMs)],
    compute_nano: ['bigint', (a) => computeNano(gpuMicros(a.gpuMs), costPerGpuHour(a.pool))],
  })
  const written = await tx.query<{ reason: R }>(
    `INSERT INTO waste (${rows.names}) SELECT ${rows.names} FROM ${rows.from}
     ORDER BY request_id, worker_id, attempt ON CONFLICT DO NOTHING RETURNING reason`,
    rows.values,
  )
  return written.map((row) => row.reason)
}
