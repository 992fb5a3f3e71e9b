import type { Row } from '@forebay/store'
import { z } from 'zod'
import { seconds } from '../http/list-page.ts'

/** A row of `tenants`. */
export interface TenantRow extends Row {
  id: string
  name: string
  weight: number
  requests_per_minute: number | null
  tokens_per_minute: number | null
  residency: string | null
  created_at: Date
}

/** A tenant. */
export const tenantSchema = z
  .object({
    id: z.string(),
    object: z.literal('tenant'),
    name: z.string(),
    weight: z.number().int().describe('Its share of the batch work'),
    requests_per_minute: z.number().int().nullable().describe("Null: the server's default"),
    tokens_per_minute: z.number().int().nullable().describe("Null: the server's default"),
    residency: z
      .string()
      .nullable()
      .describe('Its requests run only in pools that carry this tag, unless they name another'),
    created_at: z.number().int(),
  })
  .meta({ id: 'Tenant' })

/** A tenant as the API shows it. */
export function tenantObject(row: TenantRow): z.infer<typeof tenantSchema> {
  const { id, name, weight, requests_per_minute, tokens_per_minute, residency } = row
  return {
    id,
    object: 'tenant',
    name,
    weight,
    requests_per_minute,
    tokens_per_minute,
    residency,
    created_at: seconds(row.created_at),
  }
}
