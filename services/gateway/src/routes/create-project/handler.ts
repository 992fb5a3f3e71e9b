import { ForebayError } from '@forebay/kernel'
import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import { type ProjectRow, projectObject, projectSchema } from '../../admin/project-object.ts'
import { callerOf } from '../../auth/require-caller.ts'
import type { Route } from '../../gateway-deps.ts'

/** POST /admin/projects. */
export const createProject: Route = (app, { db }) => {
  app.route({
    method: 'POST',
    url: '/admin/projects',
    schema: {
      tags: ['Admin'],
      summary: 'Create a project',
      body: z.object({
        id: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'expected lower-case letters, digits, "-" and "_"'),
        name: z.string().min(1).max(256).optional(),
        tenant: z.string().nullish().describe("The caller's own when not given"),
      }),
      response: { 200: projectSchema },
    },
    handler: async (request) => {
      const { id, name } = request.body
      const tenantId = request.body.tenant ?? callerOf(request).tenantId
      await checkTenant(db, tenantId)
      const [row] = await db.query<ProjectRow>(
        'INSERT INTO projects (tenant_id, id, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING *',
        [tenantId, id, name ?? id],
      )
      if (!row) throw new ForebayError('conflict', `The project '${id}' exists already.`, { param: 'id' })
      return projectObject(row)
    },
  })
}
