import { z } from 'zod'
import { type ProjectRow, projectObject, projectSchema } from '../../admin/project-object.ts'
import { callerOf } from '../../auth/require-caller.ts'
import type { Route } from '../../gateway-deps.ts'

/** GET /admin/projects. */
export const listProjects: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/admin/projects',
    schema: {
      tags: ['Admin'],
      summary: 'List projects',
      querystring: z.object({ tenant: z.string().optional().describe("The caller's own when not given") }),
      response: { 200: z.object({ object: z.literal('list'), data: z.array(projectSchema) }) },
    },
    handler: async (request) => {
      const rows = await db.query<ProjectRow>('SELECT * FROM projects WHERE tenant_id = $1 ORDER BY id', [
        request.query.tenant ?? callerOf(request).tenantId,
      ])
      return { object: 'list' as const, data: rows.map(projectObject) }
    },
  })
}
