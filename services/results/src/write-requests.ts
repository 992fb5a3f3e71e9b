import { bornOf } from '@forebay/contracts'
import type { Charge } from '@forebay/pricing'
import type { Queryable } from '@forebay/store'
import type { Arrival } from './arrival.ts'
import { type Columns, timeOf, unnest } from './unnest.ts'
import { type CostPerGpuHour, chargeColumns, gpuMicros, insertEntries } from './write-ledger.ts'

/** A result that won its insert, and what it costs; no charge for a failed one. */
export interface Committed {
  arrival: Arrival
  charge: Charge | undefined
}

// Who knows a short prompt can find it again by its hash; of a batch's lines it goes with their files.
const keptBodyHash = `CASE WHEN rows.batch_id IS NULL AND rows.tenant_id IN (SELECT tenant_id FROM tenant_retention WHERE zero)
  THEN NULL ELSE decode(rows.body_hash, 'hex') END`
const keptEndUser = `CASE WHEN rows.batch_id IS NULL AND rows.tenant_id IN (SELECT tenant_id FROM tenant_retention WHERE zero)
  THEN NULL ELSE decode(rows.end_user, 'hex') END`
// What stands in a column that is not written as it travels.
const written: Record<string, string> = {
  body_hash: keptBodyHash,
  end_user: keptEndUser,
  finished_at: timeOf('rows.finished_at'),
}

const columns: Columns<Committed> = {
  born: ['date', ({ arrival: a }) => bornOf(a.requestId)],
  id: ['text', ({ arrival: a }) => a.requestId],
  tenant_id: ['text', ({ arrival: a }) => a.tenantId],
  api_key_id: ['text', ({ arrival: a }) => a.apiKeyId],
  batch_id: ['text', ({ arrival: a }) => a.batchId],
  line: ['int', ({ arrival: a }) => a.line],
  chunk: ['int', ({ arrival: a }) => a.chunk],
  custom_id: ['text', ({ arrival: a }) => a.customId],
  endpoint: ['text', ({ arrival: a }) => a.endpoint],
  model: ['text', ({ arrival: a }) => a.model],
  model_version: ['text', ({ arrival: a }) => a.modelVersion],
  pool: ['text', ({ arrival: a }) => a.pool],
  lane: ['text', ({ arrival: a }) => a.lane],
  worker_id: ['text', ({ arrival: a }) => a.workerId],
  attempt: ['int', ({ arrival: a }) => a.attempt],
  source: ['text', ({ arrival: a }) => a.source],
  outcome: ['text', ({ arrival: a }) => a.outcome],
  status_code: ['int', ({ arrival: a }) => a.statusCode],
  error_code: ['text', ({ arrival: a }) => a.errorCode],
  prompt_tokens: ['int', ({ arrival: a }) => a.usage.promptTokens],
  cached_tokens: ['int', ({ arrival: a }) => a.usage.cachedTokens],
  completion_tokens: ['int', ({ arrival: a }) => a.usage.completionTokens],
  reasoning_tokens: ['int', ({ arrival: a }) => a.usage.reasoningTokens],
  gpu_micros: ['bigint', ({ arrival: a }) => gpuMicros(a.gpuMs)],
  queued_ms: ['int', ({ arrival: a }) => a.queuedMs],
  batcher_ms: ['int', ({ arrival: a }) => a.batcherMs],
  first_token_ms: ['int', ({ arrival: a }) => a.firstTokenMs],
  duration_ms: ['int', ({ arrival: a }) => a.durationMs],
  body_hash: ['text', ({ arrival: a }) => a.bodyHash],
  end_user: ['text', ({ arrival: a }) => a.endUser ?? null],
  input_key: ['text', ({ arrival: a }) => a.requestBytes?.key ?? null],
  input_offset: ['bigint', ({ arrival: a }) => a.requestBytes?.offset ?? null],
  input_bytes: ['int', ({ arrival: a }) => a.requestBytes?.length ?? null],
  route_reason: ['text', ({ arrival: a }) => a.route ?? null],
  part_key: ['text', ({ arrival: a }) => a.responseBytes?.key ?? (a.bytes === null ? null : a.partKey)],
  part_offset: ['bigint', ({ arrival: a }) => (a.responseBytes ?? a.bytes)?.offset ?? null],
  part_bytes: ['int', ({ arrival: a }) => (a.responseBytes ?? a.bytes)?.length ?? null],
  finished_at: ['double precision', ({ arrival: a }) => a.finishedAtMs],
}

/**
 * Inserts audit rows, with a ledger entry for each that is charged, and answers the ids of those that were not there
 * before. What was born on a day that retention has removed was there.
 */
export async function insertResults(
  tx: Queryable,
  results: readonly Committed[],
  costPerGpuHour: CostPerGpuHour,
): Promise<Set<string>> {
  const isCharged = results.some(({ charge }) => charge !== undefined)
  const rows = unnest(results, isCharged ? { ...columns, ...chargeColumns(costPerGpuHour) } : columns)
  const names = Object.keys(columns)
  const selected = names.map((name) => written[name] ?? `rows.${name}`).join(', ')
  const withKeys = `rows AS ${isCharged ? 'MATERIALIZED' : ''} (
    SELECT rows.*, keys.project_id FROM ${rows.from}
    LEFT JOIN api_keys keys ON keys.id = rows.api_key_id AND keys.tenant_id = rows.tenant_id)`
  const insert = `inserted AS (
    INSERT INTO requests (${names.join(', ')}, project_id, commit_order)
    SELECT ${selected}, rows.project_id, (SELECT audit_order()) FROM rows
    WHERE NOT EXISTS (SELECT FROM audit_swept s WHERE s.tenant_id = rows.tenant_id AND rows.born < s.swept_to)
    ON CONFLICT (born, id) DO NOTHING RETURNING id)`
  const parts = [withKeys, insert, ...(isCharged ? [insertEntries] : [])].join(', ')
  const inserted = await tx.query<{ id: string }>(`WITH ${parts} SELECT id FROM inserted`, rows.values, {
    prepare: true,
  })
  return new Set(inserted.map((row) => row.id))
}

/** Inserts audit rows alone, charging nothing, and answers the ids of those that were not there before. */
export function insertRequests(tx: Queryable, arrivals: readonly Arrival[]): Promise<Set<string>> {
  return insertResults(
    tx,
    arrivals.map((arrival) => ({ arrival, charge: undefined })),
    () => undefined,
  )
}
