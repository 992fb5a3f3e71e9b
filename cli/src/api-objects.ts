import type { BatchError, BatchStatus } from '@forebay/contracts'

/* The API's objects, as far as the commands read them. Times are Unix seconds. */

/** A batch. */
export interface Batch {
  id: string
  endpoint: string
  model?: string | null
  errors?: { data: BatchError[] } | null
  input_file_id: string
  completion_window: string
  status: BatchStatus
  output_file_id?: string | null
  error_file_id?: string | null
  created_at: number
  expires_at?: number | null
  request_counts: { total: number; completed: number; failed: number }
  usage?: {
    input_tokens: number
    input_tokens_details?: { cached_tokens: number }
    output_tokens: number
  } | null
  metadata?: Record<string, string> | null
  forebay?: {
    cost_nano: number
    currency: string
    identical?: number
    prefix?: {
      prompt_tokens: number
      cached_share: number | null
      expected_share: number | null
      file_order_share: number | null
      unknown: number
    }
    quality?: { repetition: Measured | null; perplexity: Measured | null }
  }
}

/** What was measured of a batch's answers. */
export interface Measured {
  answers: number
  mean: number
  p95: number
  over: number
}

/** A file. */
export interface FileObject {
  id: string
  bytes: number
  created_at: number
  expires_at?: number | null
  filename: string
  purpose: string
}

/** A page of a list. */
export interface Page<T> {
  data: T[]
  has_more?: boolean
}
