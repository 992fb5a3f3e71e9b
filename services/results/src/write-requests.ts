import { bornOf } from '@forebay/contracts'
import type { Charge } from '@forebay/pricing'
import type { Queryable } from '@forebay/store'
import type { Arrival } from './arrival.ts'
import { timeOf, unnest } from './unnest.ts'
import { gpuMicros } from './write-ledger.ts'

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

/**
 * Inserts audit rows and answers the ids of those that were not there before. What was born on a day that retention has
 * removed was there.
 */
export async function insertRequests(tx: Queryable, arrivals: readonly Arrival[]): Promise<Set<string>> {
  const rows = unnest(arrivals, {
    born: ['date', (a) => bornOf(a.requestId)],
    id: ['text', (a) => a.requestId],
    tenant_id: ['text', (a) => a.tenantId],
    api_key_id: ['text', (a) => a.apiKeyId],
    batch_id: ['text', (a) => a.batchId],
    line: ['int', (a) => a.line],
    chunk: ['int', (a) => a.chunk],
    custom_id: ['text', (a) => a.customId],
    endpoint: ['text', (a) => a.endpoint],
    model: ['text', (a) => a.model],
    model_version: ['text', (a) => a.modelVersion],
    pool: ['text', (a) => a.pool],
    lane: ['text', (a) => a.lane],
    worker_id: ['text', (a) => a.workerId],
    attempt: ['int', (a) => a.attempt],
    source: ['text', (a) => a.source],
    outcome: ['text', (a) => a.outcome],
    status_code: ['int', (a) => a.statusCode],
    error_code: ['text', (a) => a.errorCode],
    prompt_tokens: ['int', (a) => a.usage.promptTokens],
    cached_tokens: ['int', (a) => a.usage.cachedTokens],
    completion_tokens: ['int', (a) => a.usage.completionTokens],
    reasoning_tokens: ['int', (a) => a.usage.reasoningTokens],
    gpu_micros: ['bigint', (a) => gpuMicros(a.gpuMs)],
    queued_ms: ['int', (a) => a.queuedMs],
    batcher_ms: ['int', (a) => a.batcherMs],
    first_token_ms: ['int', (a) => a.firstTokenMs],
    duration_ms: ['int', (a) => a.durationMs],
    body_hash: ['text', (a) => a.bodyHash],
    end_user: ['text', (a) => a.endUser ?? null],
    input_key: ['text', (a) => a.requestBytes?.key ?? null],
    input_offset: ['bigint', (a) => a.requestBytes?.offset ?? null],
    input_bytes: ['int', (a) => a.requestBytes?.length ?? null],
    route_reason: ['text', (a) => a.route ?? null],
    part_key: ['text', (a) => a.responseBytes?.key ?? (a.bytes === null ? null : a.partKey)],
    part_offset: ['bigint', (a) => (a.responseBytes ?? a.bytes)?.offset ?? null],
    part_bytes: ['int', (a) => (a.responseBytes ?? a.bytes)?.length ?? null],
    finished_at: ['double precision', (a) => a.finishedAtMs],
  })
  const selected = rows.names
    .split(', ')
    .map((name) => written[name] ?? name)
    .join(', ')
  const inserted = await tx.query<{ id: string }>(
    `INSERT INTO requests (${rows.names}, project_id, commit_order)
     SELECT ${selected}, (SELECT project_id FROM api_keys k WHERE k.id = rows.api_key_id AND k.tenant_id = rows.tenant_id),
       (SELECT audit_order()) FROM ${rows.from}
     WHERE NOT EXISTS (SELECT FROM audit_swept s WHERE s.tenant_id = rows.tenant_id AND rows.born < s.swept_to)
     ON CONFLICT DO NOTHING RETURNING id`,
    rows.values,
  )
  return new Set(inserted.map((row) => row.id))
}
