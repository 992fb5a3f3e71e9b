import type { Row } from '@forebay/store'
import { z } from 'zod'

const bytesAt = z.object({ key: z.string(), offset: z.number().int(), length: z.number().int() }).nullable()

/** A row of the audit log. */
export const auditSchema = z
  .object({
    id: z.string(),
    object: z.literal('audit.request'),
    tenant: z.string(),
    project: z.string().nullable(),
    api_key: z.string().nullable(),
    batch: z.string().nullable(),
    line: z.number().int().nullable(),
    custom_id: z.string().nullable(),
    endpoint: z.string(),
    model: z.string(),
    model_version: z.string().nullable(),
    pool: z.string(),
    why: z
      .string()
      .nullable()
      .describe(
        "Why a live request went to its pool and model; null where there was nothing to choose, and for a batch's line",
      ),
    lane: z.string(),
    worker: z.string(),
    attempts: z.number().int(),
    source: z.string().describe('engine, identical, exact_cache or semantic_cache'),
    outcome: z.string(),
    status_code: z.number().int(),
    error_code: z.string().nullable(),
    usage: z.object({
      input_tokens: z.number().int(),
      cached_tokens: z.number().int().nullable().describe('Null when the engine did not say'),
      output_tokens: z.number().int(),
      reasoning_tokens: z.number().int(),
      gpu_ms: z.number().nullable().describe("Its share of the engine's time; null when not measured"),
    }),
    timings: z
      .object({
        queue_ms: z.number().int(),
        batcher_ms: z.number().int(),
        prefill_ms: z.number().int().nullable(),
        decode_ms: z.number().int().nullable(),
        total_ms: z.number().int().describe('Prefill and decode'),
        store_ms: z.number().int(),
      })
      .describe('From the queue to the store; prefill and decode are null when the first token was not seen'),
    body_sha256: z.string().nullable(),
    input: bytesAt.describe("Where the request's bytes lie"),
    output: bytesAt.describe("Where the answer's bytes lie"),
    erased: z.boolean().describe('Its custom id and the hash of its body were erased'),
    finished_at: z.string(),
    committed_at: z.string(),
  })
  .meta({ id: 'AuditRequest' })

/** A row of `requests`. */
export interface AuditRow extends Row {
  id: string
  tenant_id: string
  project_id: string | null
  api_key_id: string | null
  batch_id: string | null
  line: number | null
  custom_id: string | null
  endpoint: string
  model: string
  model_version: string | null
  pool: string
  route_reason: string | null
  lane: string
  worker_id: string
  attempt: number
  source: string
  outcome: string
  status_code: number
  error_code: string | null
  prompt_tokens: number
  cached_tokens: number | null
  completion_tokens: number
  reasoning_tokens: number
  gpu_micros: number | null
  queued_ms: number
  batcher_ms: number
  first_token_ms: number | null
  duration_ms: number
  body_hash: Buffer | null
  input_key: string | null
  input_offset: number | null
  input_bytes: number | null
  part_key: string | null
  part_offset: number | null
  part_bytes: number | null
  commitment: Buffer | null
  commit_order: number
  finished_at: Date
  committed_at: Date
}

/** A row as the API shows it. */
export function auditObject(row: AuditRow): z.infer<typeof auditSchema> {
  const prefillMs = row.first_token_ms
  return {
    id: row.id,
    object: 'audit.request',
    tenant: row.tenant_id,
    project: row.project_id,
    api_key: row.api_key_id,
    batch: row.batch_id,
    line: row.line,
    custom_id: row.custom_id,
    endpoint: row.endpoint,
    model: row.model,
    model_version: row.model_version,
    pool: row.pool,
    why: row.route_reason,
    lane: row.lane,
    worker: row.worker_id,
    attempts: row.attempt,
    source: row.source,
    outcome: row.outcome,
    status_code: row.status_code,
    error_code: row.error_code,
    usage: {
      input_tokens: row.prompt_tokens,
      cached_tokens: row.cached_tokens,
      output_tokens: row.completion_tokens,
      reasoning_tokens: row.reasoning_tokens,
      gpu_ms: row.gpu_micros === null ? null : row.gpu_micros / 1000,
    },
    timings: {
      queue_ms: Math.max(0, row.queued_ms - row.batcher_ms),
      batcher_ms: row.batcher_ms,
      prefill_ms: prefillMs,
      decode_ms: prefillMs === null ? null : Math.max(0, row.duration_ms - prefillMs),
      total_ms: row.duration_ms,
      store_ms: Math.max(0, row.committed_at.getTime() - row.finished_at.getTime()),
    },
    body_sha256: row.body_hash?.toString('hex') ?? null,
    input: at(row.input_key, row.input_offset, row.input_bytes),
    output: at(row.part_key, row.part_offset, row.part_bytes),
    erased: row.commitment !== null,
    finished_at: row.finished_at.toISOString(),
    committed_at: row.committed_at.toISOString(),
  }
}

function at(key: string | null, offset: number | null, length: number | null): z.infer<typeof bytesAt> {
  return key === null || offset === null || length === null ? null : { key, offset, length }
}
