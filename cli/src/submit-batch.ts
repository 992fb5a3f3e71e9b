import { randomUUID } from 'node:crypto'
import { ApiFailure } from './api-answers.ts'
import type { Batch, FileObject } from './api-objects.ts'
import { nextSteps } from './batch-text.ts'
import type { Context } from './context.ts'
import { type ExitCode, exitCodes } from './failure.ts'
import { fileBytes } from './multipart-upload.ts'
import { startProgress } from './progress.ts'
import { size } from './text.ts'
import { waitForBatch } from './wait-for-batch.ts'

/** Uploads a file from disk, with its progress. */
export async function uploadFile(context: Context, options: { path: string; purpose: string }): Promise<FileObject> {
  const { out, clock } = context
  const total = await fileBytes(options.path)
  const progress = startProgress({ out, clock, label: 'Uploading', show: size })
  let sent = 0
  try {
    return await context.api().upload(options.path, {
      purpose: options.purpose,
      onBytes: (bytes) => {
        sent += bytes
        progress.update(sent, total)
      },
    })
  } finally {
    progress.stop()
  }
}

/**
 * Uploads an input file, creates its batch and, when asked to, waits for its end. The batch's id is on stdout as soon
 * as it exists.
 */
export async function submitBatch(
  context: Context,
  options: {
    path: string
    endpoint: string
    window: string
    metadata: Record<string, string>
    wait: boolean
    check?: object
  },
): Promise<ExitCode> {
  const { out } = context
  const file = await uploadFile(context, { path: options.path, purpose: 'batch' })
  out.note(`Uploaded ${file.filename} (${size(file.bytes)}) as ${file.id}.`)
  const hasMetadata = Object.keys(options.metadata).length > 0
  const body = {
    input_file_id: file.id,
    endpoint: options.endpoint,
    completion_window: options.window,
    ...(hasMetadata ? { metadata: options.metadata } : {}),
    ...(options.check ? { forebay: { check: options.check } } : {}),
  }
  const batch = await context
    .api()
    .call<Batch>('POST', '/v1/batches', { body, idempotencyKey: randomUUID() })
    .catch(async (err: unknown) => {
      // Refused for good: leave no orphaned upload behind.
      if (err instanceof ApiFailure) {
        await context
          .api()
          .call('DELETE', `/v1/files/${file.id}`)
          .catch(() => {})
      }
      throw err
    })
  out.note(`Created ${batch.id} on ${batch.endpoint}, to be done within ${batch.completion_window}.`)
  if (!out.json) out.data(batch, () => batch.id)
  if (options.wait) return waitForBatch(context, batch, { show: false })
  if (out.json) out.data(batch, () => '')
  for (const line of nextSteps(batch)) out.note(line)
  return exitCodes.ok
}
