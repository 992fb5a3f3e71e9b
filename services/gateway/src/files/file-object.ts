import type { Row } from '@forebay/store'
import { z } from 'zod'
import { seconds } from '../http/list-page.ts'

/** A row of `files`. */
export interface FileRow extends Row {
  id: string
  tenant_id: string
  filename: string
  purpose: string
  bytes: number
  blob_key: string
  created_at: Date
  expires_at: Date | null
}

/** OpenAI's File object. */
export const fileSchema = z
  .object({
    id: z.string(),
    object: z.literal('file'),
    bytes: z.number().int(),
    created_at: z.number().int(),
    expires_at: z.number().int().nullable(),
    filename: z.string(),
    purpose: z.string(),
    status: z.literal('processed'),
    status_details: z.null(),
  })
  .meta({ id: 'File' })

/** A file as the API shows it. */
export function fileObject(row: FileRow): z.infer<typeof fileSchema> {
  return {
    id: row.id,
    object: 'file',
    bytes: row.bytes,
    created_at: seconds(row.created_at),
    expires_at: seconds(row.expires_at),
    filename: row.filename,
    purpose: row.purpose,
    status: 'processed',
    status_details: null,
  }
}
