/** The states of a batch, as the API shows them. The moves between them are drawn in the store's first migration. */
export const batchStatuses = [
  'validating',
  'in_progress',
  'finalizing',
  'completed',
  'failed',
  'cancelling',
  'cancelled',
  'expired',
] as const
export type BatchStatus = (typeof batchStatuses)[number]

/** True when no further move is possible. */
export function isTerminal(status: BatchStatus): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled' || status === 'expired'
}

/** One validation fault; `line` is 1-based, null when the fault is of the whole file. */
export interface BatchError {
  code: string
  message: string
  param: string | null
  line: number | null
}

/** Blob keys. Everything of a tenant lies under its own prefix. */
export const blobKeys = {
  file: (tenantId: string, fileId: string) => `tenants/${tenantId}/files/${fileId}`,
  plan: (tenantId: string, batchId: string) => `tenants/${tenantId}/batches/${batchId}/plan`,
  part: (tenantId: string, batchId: string, partId: string) => `tenants/${tenantId}/batches/${batchId}/parts/${partId}`,
  /** A chunk's lines, copied into the store of the pool that its attempt runs in. */
  staged: (tenantId: string, batchId: string, chunk: number, attempt: number) =>
    `tenants/${tenantId}/batches/${batchId}/staged/${chunk}/${attempt}`,
  /** Where all copies of a chunk lie, as a prefix. */
  stagedChunk: (tenantId: string, batchId: string, chunk: number) =>
    `tenants/${tenantId}/batches/${batchId}/staged/${chunk}/`,
  /** The body of a live request that is kept, under the day on which it ended (UTC, as YYYY-MM-DD). */
  liveRequest: (tenantId: string, day: string, requestId: string) =>
    `tenants/${tenantId}/live/requests/${day}/${requestId}`,
  /** Its answer, as the client got it. */
  liveAnswer: (tenantId: string, day: string, requestId: string) =>
    `tenants/${tenantId}/live/answers/${day}/${requestId}`,
  /** Its existence tells every worker to start nothing more of the batch. */
  cancelled: (tenantId: string, batchId: string) => `tenants/${tenantId}/batches/${batchId}/cancelled`,
}

/** A line of a batch's output or error file. */
export interface OutputLine {
  id: string
  custom_id: string
  response: { status_code: number; request_id: string; body: unknown } | null
  error: { code: string; message: string } | null
}
