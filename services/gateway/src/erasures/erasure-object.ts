import type { Row } from '@forebay/store'
import { z } from 'zod'

/** An erasure as the API shows it. */
export const erasureSchema = z
  .object({
    object: z.literal('erasure'),
    id: z.string(),
    tenant: z.string(),
    selector: z.enum(['file', 'batch', 'key', 'tenant', 'end_user']),
    target: z.string().describe('the id of what is erased; of an end user a hash, which is forgotten two hours later'),
    status: z.enum(['pending', 'running', 'completed']),
    waiting_for: z.string().nullable().describe('what it waits for, in words'),
    files: z.number().int().describe('erased so far; of an end user: those of which lines were erased'),
    batches: z.number().int().describe('erased so far'),
    requests: z.number().int().describe('audit rows from which a person’s data was erased so far'),
    kept_files: z.array(z.string()).describe('inputs that stay because other batches read them, too'),
    requested_by: z.string().describe('the id of the API key'),
    created_at: z.number().int(),
    completed_at: z.number().int().nullable(),
  })
  .meta({ id: 'Erasure' })

/** Its row. */
export interface ErasureRow extends Row {
  id: string
  tenant_id: string
  selector: 'file' | 'batch' | 'key' | 'tenant' | 'end_user'
  target: string
  status: 'pending' | 'running' | 'completed'
  waiting_for: string | null
  files: number
  batches: number
  requests: number
  kept_files: string[]
  requested_by: string
  created_at: Date
  completed_at: Date | null
}

const seconds = (time: Date) => Math.floor(time.getTime() / 1000)

/** An erasure's row as the API shows it. */
export function erasureObject(row: ErasureRow): z.infer<typeof erasureSchema> {
  const { batches, files, id, requests, selector, status, target } = row
  return {
    object: 'erasure',
    ...{ id, tenant: row.tenant_id, selector, target, status, waiting_for: row.waiting_for, files, batches, requests },
    kept_files: row.kept_files,
    requested_by: row.requested_by,
    created_at: seconds(row.created_at),
    completed_at: row.completed_at && seconds(row.completed_at),
  }
}
