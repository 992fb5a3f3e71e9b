import {
  type AnswerCheck,
  answerCheckSchema,
  type BatchError,
  type BatchStatus,
  batchStatuses,
  isTerminal,
} from '@forebay/contracts'
import type { Row } from '@forebay/store'
import { z } from 'zod'
import { seconds } from '../http/list-page.ts'
import { type BatchQuality, batchQualitySchema, unmeasured } from './batch-quality.ts'

/** A row of `batches`. */
export interface BatchRow extends Row {
  id: string
  tenant_id: string
  endpoint: string
  input_file_id: string
  completion_window: string
  metadata: Record<string, string> | null
  request_hash: Buffer | null
  status: BatchStatus
  model: string | null
  models: string[] | null
  pool: string | null
  residency: string | null
  waiting_for: string | null
  lane: string
  answer_check: AnswerCheck | null
  errors: BatchError[] | null
  output_file_id: string | null
  error_file_id: string | null
  total: number
  completed: number
  failed: number
  prompt_tokens: number
  cached_tokens: number
  completion_tokens: number
  reasoning_tokens: number
  cost_nano: number
  est_tokens: number
  expected_cached_share: number | null
  file_order_cached_share: number | null
  told_prompt_tokens: number
  told_cached_tokens: number
  untold: number
  identical: number
  created_at: Date
  expires_at: Date
  in_progress_at: Date | null
  finalizing_at: Date | null
  completed_at: Date | null
  failed_at: Date | null
  expired_at: Date | null
  cancelling_at: Date | null
  cancelled_at: Date | null
}

const time = z.number().int().nullable()

const share = z.number().min(0).max(1).nullable()

const prefixSchema = z
  .object({
    prompt_tokens: z.number().int().describe('Of the requests whose engine told of its prefix cache'),
    cached_tokens: z.number().int().describe('Those of them that it found there'),
    cached_share: share.describe('cached_tokens / prompt_tokens; null while there are none'),
    expected_share: share.describe(
      'What the order of the plan was expected to give, at the least; null before validation ended',
    ),
    file_order_share: share.describe('What the order of the file would have given, by the same estimate'),
    unknown: z.number().int().describe('Requests whose engine did not tell'),
  })
  .describe('What running requests with the same beginning together brought')

/** OpenAI's Batch object; what is Forebay's own lies under `forebay`. */
export const batchSchema = z
  .object({
    id: z.string(),
    object: z.literal('batch'),
    endpoint: z.string(),
    model: z.string().nullable(),
    errors: z
      .object({
        object: z.literal('list'),
        data: z.array(
          z.object({
            code: z.string(),
            message: z.string(),
            param: z.string().nullable(),
            line: z.number().int().nullable(),
          }),
        ),
      })
      .nullable(),
    input_file_id: z.string(),
    completion_window: z.string(),
    status: z.enum(batchStatuses),
    output_file_id: z.string().nullable(),
    error_file_id: z.string().nullable(),
    created_at: z.number().int(),
    in_progress_at: time,
    expires_at: z.number().int(),
    finalizing_at: time,
    completed_at: time,
    failed_at: time,
    expired_at: time,
    cancelling_at: time,
    cancelled_at: time,
    request_counts: z.object({ total: z.number().int(), completed: z.number().int(), failed: z.number().int() }),
    usage: z.object({
      input_tokens: z.number().int(),
      input_tokens_details: z.object({ cached_tokens: z.number().int() }),
      output_tokens: z.number().int(),
      output_tokens_details: z.object({ reasoning_tokens: z.number().int() }),
      total_tokens: z.number().int(),
    }),
    metadata: z.record(z.string(), z.string()).nullable(),
    forebay: z
      .object({
        lane: z.string(),
        models: z.array(z.string()).nullable().describe('What its lines run on, when they name an alias'),
        pool: z.string().nullable().describe('One that serves its model; its chunks may run in several'),
        residency: z.string().nullable().describe('It runs only in pools that carry this tag'),
        waiting_for: z
          .string()
          .nullable()
          .describe('What it waits for when it cannot go on: pools, or a blob store that does not answer; else null'),
        check: answerCheckSchema.nullable().describe('What every answer must fit'),
        est_tokens: z.number().int().describe('Prompt and output tokens planned; 0 before validation ended'),
        cost_nano: z.number().int().describe('Charged so far, in billionths of the currency'),
        currency: z.string(),
        identical: z.number().int().describe('Requests that got the answer of an identical one'),
        prefix: prefixSchema,
        quality: batchQualitySchema,
      })
      .describe('Not part of the OpenAI API'),
  })
  .meta({ id: 'Batch' })

/** A batch as the API shows it: absent values are null, never ''. */
export function batchObject(row: BatchRow, quality: BatchQuality = unmeasured): z.infer<typeof batchSchema> {
  return {
    id: row.id,
    object: 'batch',
    endpoint: row.endpoint,
    model: row.model,
    errors: row.errors && row.errors.length > 0 ? { object: 'list', data: row.errors } : null,
    input_file_id: row.input_file_id,
    completion_window: row.completion_window,
    status: row.status,
    output_file_id: row.output_file_id,
    error_file_id: row.error_file_id,
    created_at: seconds(row.created_at),
    in_progress_at: seconds(row.in_progress_at),
    expires_at: seconds(row.expires_at),
    finalizing_at: seconds(row.finalizing_at),
    completed_at: seconds(row.completed_at),
    failed_at: seconds(row.failed_at),
    expired_at: seconds(row.expired_at),
    cancelling_at: seconds(row.cancelling_at),
    cancelled_at: seconds(row.cancelled_at),
    request_counts: { total: row.total, completed: row.completed, failed: row.failed },
    usage: {
      input_tokens: row.prompt_tokens,
      input_tokens_details: { cached_tokens: row.cached_tokens },
      output_tokens: row.completion_tokens,
      output_tokens_details: { reasoning_tokens: row.reasoning_tokens },
      total_tokens: row.prompt_tokens + row.completion_tokens,
    },
    metadata: row.metadata,
    forebay: {
      lane: row.lane,
      models: row.models,
      pool: row.pool,
      residency: row.residency,
      waiting_for: isTerminal(row.status) ? null : row.waiting_for,
      check: row.answer_check,
      est_tokens: row.est_tokens,
      cost_nano: row.cost_nano,
      currency: 'USD',
      identical: row.identical,
      prefix: {
        prompt_tokens: row.told_prompt_tokens,
        cached_tokens: row.told_cached_tokens,
        cached_share: row.told_prompt_tokens > 0 ? rounded(row.told_cached_tokens / row.told_prompt_tokens) : null,
        expected_share: rounded(row.expected_cached_share),
        file_order_share: rounded(row.file_order_cached_share),
        unknown: row.untold,
      },
      quality,
    },
  }
}

/** A share to four places: no more of it is known. */
function rounded<T extends number | null>(value: T): T | number {
  return value === null ? value : Math.round(value * 10_000) / 10_000
}
