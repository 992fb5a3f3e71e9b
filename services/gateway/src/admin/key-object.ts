import type { ApiKey } from '@forebay/store'
import { z } from 'zod'
import { seconds } from '../http/list-page.ts'

/** An API key; the key itself is shown by the answer that creates it alone. */
export const keySchema = z
  .object({
    id: z.string(),
    object: z.literal('api_key'),
    tenant: z.string(),
    project: z.string(),
    name: z.string(),
    hint: z.string().describe('Its last four characters'),
    role: z.enum(['user', 'admin']),
    created_at: z.number().int(),
    expires_at: z.number().int().nullable(),
    revoked_at: z.number().int().nullable(),
    last_used_at: z.number().int().nullable(),
  })
  .meta({ id: 'ApiKey' })

/** A key as the API shows it. */
export function keyObject(row: ApiKey): z.infer<typeof keySchema> {
  return {
    id: row.id,
    object: 'api_key',
    tenant: row.tenant_id,
    project: row.project_id,
    name: row.name,
    hint: row.hint,
    role: row.role,
    created_at: seconds(row.created_at),
    expires_at: seconds(row.expires_at),
    revoked_at: seconds(row.revoked_at),
    last_used_at: seconds(row.last_used_at),
  }
}
