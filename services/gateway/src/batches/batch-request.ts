import { createHash } from 'node:crypto'
import { answerCheckSchema, inferenceEndpointSchema } from '@forebay/contracts'
import { z } from 'zod'
import { unsupportedValue } from '../http/validator.ts'
import { residencySchema } from '../pools/residency.ts'
import { parseCompletionWindow } from './completion-window.ts'

const windowsShown = ['24h', '<n>m', '<n>h', '<n>d (from 1m to 30d)']

const metadataSchema = z.record(z.string(), z.string().max(512)).superRefine((metadata, context) => {
  const keys = Object.keys(metadata)
  if (keys.length > 16) {
    const message = `Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object with ${keys.length} properties instead.`
    context.addIssue({ code: 'custom', message })
  }
  const long = keys.find((key) => key.length > 64)
  if (long !== undefined) {
    const message = `Invalid property name in 'metadata': '${long.slice(0, 64)}…' was too long. Expected a property name with maximum length 64, but got ${long.length} instead.`
    context.addIssue({ code: 'custom', message })
  }
})

/** The body of POST /v1/batches. */
export const batchRequestSchema = z.object({
  input_file_id: z.string().min(1),
  endpoint: inferenceEndpointSchema,
  completion_window: z.string().superRefine((text, context) => {
    if (parseCompletionWindow(text) !== undefined) return
    context.addIssue({ code: 'custom', message: unsupportedValue(text, windowsShown) })
  }),
  metadata: metadataSchema.nullish(),
  output_expires_after: z
    .object({ anchor: z.enum(['created_at']), seconds: z.number().int().min(3_600).max(2_592_000) })
    .nullish(),
  forebay: z
    .strictObject({
      residency: residencySchema.nullish(),
      check: answerCheckSchema
        .nullish()
        .describe('What every answer must fit; a line whose answer does not is run again'),
    })
    .nullish(),
})

/** A checked request for a batch. */
export type BatchRequest = z.infer<typeof batchRequestSchema>

/** Equal for two requests that ask for the same, whatever the order of their fields. */
export function hashBatchRequest(request: BatchRequest, residency: string | null): Buffer {
  const metadata = Object.entries(request.metadata ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  const { input_file_id, endpoint, completion_window, output_expires_after } = request
  const fields: unknown[] = [
    input_file_id,
    endpoint,
    completion_window,
    metadata,
    output_expires_after?.seconds ?? null,
  ]
  if (residency !== null) fields.push(residency)
  if (request.forebay?.check) fields.push({ check: request.forebay.check })
  return createHash('sha256').update(JSON.stringify(fields)).digest()
}
