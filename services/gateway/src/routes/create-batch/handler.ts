import { holdForBatch } from '@forebay/budgets'
import type { AnswerCheck, InferenceEndpoint } from '@forebay/contracts'
import { ForebayError, newId } from '@forebay/kernel'
import { chargeFor, type Price } from '@forebay/pricing'
import { compileCheck } from '@forebay/quality'
import type { Queryable } from '@forebay/store'
import { estimatePromptTokens } from '@forebay/tokens'
import { callerOf } from '../../auth/require-caller.ts'
import { type BatchRow, batchObject, batchSchema } from '../../batches/batch-object.ts'
import { type BatchRequest, batchRequestSchema, hashBatchRequest } from '../../batches/batch-request.ts'
import { parseCompletionWindow } from '../../batches/completion-window.ts'
import { visibleFile } from '../../files/find-file.ts'
import type { Route } from '../../gateway-deps.ts'
import { idempotencyKey } from '../../http/idempotency-key.ts'
import { batchResidency } from '../../pools/residency.ts'

/** POST /v1/batches. With an Idempotency-Key, the same request gives the same batch however often it comes. */
export const createBatch: Route = (app, { clock, db, limits, pools, prices }) => {
  app.route({
    method: 'POST',
    url: '/v1/batches',
    schema: { tags: ['Batches'], summary: 'Create a batch', body: batchRequestSchema, response: { 200: batchSchema } },
    handler: async (request) => {
      const caller = callerOf(request)
      const { tenantId } = caller
      const body = request.body
      const key = idempotencyKey(request.headers['idempotency-key'])
      const residency = batchResidency({ body, headers: request.headers, caller, pools })
      const check = checkOf(body)
      const hash = hashBatchRequest(body, residency)
      if (key !== null) {
        const known = await findByKey(db, tenantId, key)
        if (known) return batchObject(sameRequest(known, hash))
      }
      await limits.admitBatch(caller)
      const windowMs = parseCompletionWindow(body.completion_window) ?? 0
      const row = await db.tx(async (tx) => {
        const bytes = await checkInput(tx, tenantId, body.input_file_id)
        const [created] = await tx.query<BatchRow>(
          `INSERT INTO batches (id, tenant_id, api_key_id, endpoint, input_file_id, completion_window, metadata,
             output_expires_after_seconds, idempotency_key, request_hash, residency, answer_check, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, now() + $13 * interval '1 millisecond')
           ON CONFLICT (tenant_id, idempotency_key) DO NOTHING RETURNING *`,
          [
            newId('batch_', clock.now()),
            tenantId,
            caller.keyId,
            body.endpoint,
            body.input_file_id,
            body.completion_window,
            body.metadata ? JSON.stringify(body.metadata) : null,
            body.output_expires_after?.seconds ?? null,
            key,
            hash,
            residency,
            check && JSON.stringify(check),
            windowMs,
          ],
        )
        if (created) {
          const estimate = estimateInput({ ...body, tenantId, bytes, atMs: clock.now(), prices: prices.all })
          const { expires_at: expiresAt, id } = created
          await holdForBatch(tx, { id, tenantId, keyId: caller.keyId, expiresAt, ...estimate })
        }
        if (created) await tx.query("SELECT pg_notify('forebay_batches', $1)", [created.id])
        return created
      })
      if (row) return batchObject(row)
      // A twin with the same key was first; its row is committed, for the insert waited for it.
      const twin = key === null ? undefined : await findByKey(db, tenantId, key)
      if (!twin) throw new Error('the batch row was not inserted')
      return batchObject(sameRequest(twin, hash))
    },
  })
}

/** The check asked for, which can be used as it is. Throws `invalid_value` for one that cannot. */
function checkOf({ endpoint, forebay }: BatchRequest): AnswerCheck | null {
  const check = forebay?.check ?? null
  if (check === null) return null
  if (endpoint === '/v1/embeddings') {
    const text = "Invalid 'forebay.check': the answers of /v1/embeddings have no text that could be checked."
    throw new ForebayError('invalid_value', text, { param: 'forebay.check' })
  }
  compileCheck(check)
  return check
}

/** What the file's text costs at least to read, of which its size tells; planning replaces it by what the lines ask for. */
function estimateInput(file: {
  endpoint: InferenceEndpoint
  tenantId: string
  bytes: number
  atMs: number
  prices: readonly Price[]
}): { estimateNano: number; currency: string } {
  const promptTokens = estimatePromptTokens(file.bytes)
  const usage = { promptTokens, cachedTokens: null, completionTokens: 0, reasoningTokens: 0 }
  const { amountNano, currency } = chargeFor({ ...file, usage, model: '*', lane: 'batch' })
  return { estimateNano: amountNano, currency }
}

async function findByKey(db: Queryable, tenantId: string, key: string): Promise<BatchRow | undefined> {
  const rows = await db.query<BatchRow>('SELECT * FROM batches WHERE tenant_id = $1 AND idempotency_key = $2', [
    tenantId,
    key,
  ])
  return rows[0]
}

function sameRequest(row: BatchRow, hash: Buffer): BatchRow {
  if (row.request_hash?.equals(hash)) return row
  const text = `This Idempotency-Key was used for another request, which created ${row.id}. Use a new key for a new request.`
  throw new ForebayError('idempotency_mismatch', text)
}

async function checkInput(tx: Queryable, tenantId: string, fileId: string): Promise<number> {
  const [file] = await tx.query<{ purpose: string; bytes: number }>(
    `SELECT purpose, bytes FROM files WHERE id = $1 AND tenant_id = $2 AND ${visibleFile} FOR SHARE`,
    [fileId, tenantId],
  )
  const param = 'input_file_id'
  if (!file) {
    const text = `Cannot find file ${fileId}, or organization ${tenantId} does not have access to it.`
    throw new ForebayError('invalid_request', text, { param })
  }
  if (file.purpose !== 'batch') {
    const text = `Invalid input file: ${fileId} has the purpose '${file.purpose}'. Upload it with the purpose 'batch'.`
    throw new ForebayError('invalid_request', text, { param })
  }
  return file.bytes
}
