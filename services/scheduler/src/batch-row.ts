import type { AnswerCheck, BatchStatus, InferenceEndpoint, Lane } from '@forebay/contracts'
import type { Queryable, Row } from '@forebay/store'

/** What the scheduler reads of a batch. Times are the database's, in epoch milliseconds. */
export interface BatchRow extends Row {
  id: string
  tenantId: string
  apiKeyId: string
  endpoint: InferenceEndpoint
  status: BatchStatus
  /** As its lines name it. */
  model: string | null
  /** The models that its lines run on, when they name an alias; null: `model` itself. */
  models: string[] | null
  /** The tag that the pools must carry where it runs. */
  residency: string | null
  waitingFor: string | null
  lane: Lane
  /** What every answer must fit. */
  check: AnswerCheck | null
  /** The key, in hex, of the hashes that stand for the tenant's end users. */
  endUserKey: string
  inputFileId: string
  inputKey: string
  /** False when the input file was deleted. */
  inputThere: boolean
  total: number
  completed: number
  failed: number
  estTokens: number
  virtualTokens: number
  finalStatus: 'completed' | 'expired' | 'cancelled' | null
  closed: boolean
  outputExpiresAfterSeconds: number | null
  expiresAtMs: number
  cancellingAtMs: number | null
}

/** Epoch milliseconds of a timestamp expression. */
export const epochMs = (expression: string) => `(extract(epoch FROM ${expression}) * 1000)::float8`

/** The columns of a BatchRow, from `batches b JOIN files f ON f.id = b.input_file_id`. */
export const batchColumns = `
  b.id, b.tenant_id AS "tenantId", b.api_key_id AS "apiKeyId", b.endpoint, b.status, b.model, b.models, b.residency,
  b.waiting_for AS "waitingFor", b.lane, b.answer_check AS "check",
  (SELECT encode(end_user_key, 'hex') FROM tenants t WHERE t.id = b.tenant_id) AS "endUserKey",
  b.input_file_id AS "inputFileId", f.blob_key AS "inputKey", f.deleted_at IS NULL AS "inputThere",
  b.total, b.completed, b.failed, b.est_tokens AS "estTokens", b.virtual_tokens AS "virtualTokens",
  b.final_status AS "finalStatus", b.closed_at IS NOT NULL AS closed,
  b.output_expires_after_seconds AS "outputExpiresAfterSeconds",
  ${epochMs('b.expires_at')} AS "expiresAtMs", ${epochMs('b.cancelling_at')} AS "cancellingAtMs"`

/** The batches whose lines run or may still run. */
export async function openBatches(db: Queryable): Promise<BatchRow[]> {
  return db.query<BatchRow>(
    `SELECT ${batchColumns} FROM batches b JOIN files f ON f.id = b.input_file_id
     WHERE b.status IN ('validating', 'in_progress', 'cancelling') AND b.closed_at IS NULL ORDER BY b.id`,
  )
}

/** The database's time, by which all leases and deadlines are judged. Within a transaction: when it began. */
export async function databaseNowMs(db: Queryable): Promise<number> {
  const [row] = await db.query<{ nowMs: number }>(`SELECT ${epochMs('now()')} AS "nowMs"`)
  return row?.nowMs ?? Number.NaN
}
