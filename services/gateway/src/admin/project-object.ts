import type { Row } from '@forebay/store'
import { z } from 'zod'
import { seconds } from '../http/list-page.ts'

/** A row of `projects`. */
export interface ProjectRow extends Row {
  tenant_id: string
  id: string
  name: string
  created_at: Date
}

/** What a tenant's spending is told apart by; each key belongs to one. */
export const projectSchema = z
  .object({
    id: z.string(),
    object: z.literal('project'),
    tenant: z.string(),
    name: z.string(),
    created_at: z.number().int(),
  })
  .meta({ id: 'Project' })

/** A project as the API shows it. */
export function projectObject(row: ProjectRow): z.infer<typeof projectSchema> {
  return { id: row.id, object: 'project', tenant: row.tenant_id, name: row.name, created_at: seconds(row.created_at) }
}
