import { createHash } from 'node:crypto'
import { blobKeys } from '@forebay/contracts'
import { ForebayError, newId } from '@forebay/kernel'
import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import { type FileRow, fileObject, fileSchema } from '../../files/file-object.ts'
import { watchFirstLine } from '../../files/first-line.ts'
import { receiveUpload, tooLarge } from '../../files/receive-upload.ts'
import { readUploadForm, type UploadForm } from '../../files/upload-form.ts'
import type { Route } from '../../gateway-deps.ts'
import { findBadText } from '../../http/text-rules.ts'

/** Room for the form around the file. */
const formBytes = 1_048_576

const form = z.object({
  file: z.string().meta({ format: 'binary' }),
  purpose: z.string(),
  'expires_after[anchor]': z.literal('created_at').optional(),
  'expires_after[seconds]': z.number().int().min(3_600).max(2_592_000).optional(),
})

/** POST /v1/files: bytes stream to the blob store; the row exists only when they are all there. */
export const uploadFile: Route = (app, deps) => {
  const { blobs, config, db, metrics } = deps
  app.route({
    method: 'POST',
    url: '/v1/files',
    schema: {
      tags: ['Files'],
      summary: 'Upload a file',
      consumes: ['multipart/form-data'],
      body: form,
      response: { 200: fileSchema },
    },
    // The body is read by the handler, as a stream.
    validatorCompiler: () => (data: unknown) => ({ value: data }),
    handler: async (request) => {
      const { keyId, tenantId } = callerOf(request)
      if (!request.headers['content-type']?.toLowerCase().startsWith('multipart/form-data')) {
        throw new ForebayError('unsupported_media_type', "Send the file as 'multipart/form-data'.")
      }
      if (Number(request.headers['content-length'] ?? 0) > config.maxFileBytes + formBytes) {
        throw tooLarge(config.maxFileBytes)
      }
      const id = newId('file-', deps.clock.now())
      const key = blobKeys.file(tenantId, id)
      const hash = createHash('sha256')
      const firstLine = watchFirstLine()
      async function* watched(source: AsyncIterable<Uint8Array>) {
        for await (const piece of source) {
          hash.update(piece)
          firstLine.see(piece)
          yield piece
        }
      }
      let stored = false
      try {
        const upload = await receiveUpload({
          request: request.raw,
          bytesMax: config.maxFileBytes,
          store: async (source) => {
            const { bytes } = await blobs.put(key, watched(source))
            stored = true
            return bytes
          },
        })
        const { purpose, expiresAfterSeconds } = readUploadForm(upload.fields)
        if (!upload.file) {
          throw new ForebayError('missing_required_parameter', "Missing required parameter: 'file'.", { param: 'file' })
        }
        const { filename, stored: bytes } = upload.file
        checkFile({ filename, purpose, looksLikeJsonl: bytes > 0 && firstLine.opensAnObject() })
        const [row] = await db.query<FileRow>(
          `INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key, expires_at, api_key_id)
           VALUES ($1, $2, $3, $4, $5, $6, $7, now() + $8 * interval '1 second', $9) RETURNING *`,
          [id, tenantId, filename, purpose, bytes, hash.digest(), key, expiresAfterSeconds, keyId],
        )
        if (!row) throw new Error('the file row was not inserted')
        metrics.uploadedBytes.inc(bytes)
        return fileObject(row)
      } catch (err) {
        if (stored)
          await blobs.delete(key).catch((reason: unknown) => deps.logger.warn({ key, reason }, 'blob left over'))
        throw err
      }
    },
  })
}

function checkFile(file: { filename: string; purpose: UploadForm['purpose']; looksLikeJsonl: boolean }): void {
  if (file.filename.length > 512 || findBadText(file.filename, { nul: 'refuse' }) !== undefined) {
    throw new ForebayError('invalid_value', 'The file name is too long or no valid text.', { param: 'file' })
  }
  if (file.purpose === 'batch' && !file.looksLikeJsonl) {
    const text = 'Invalid file format for Batch API. Must be .jsonl: one JSON object per line, and not empty.'
    throw new ForebayError('invalid_request', text, { param: 'file' })
  }
}
