import { createApiKey } from '@forebay/store'
import { z } from 'zod'
import { checkProject, checkTenant } from '../../admin/check-tenant.ts'
import { keyObject, keySchema } from '../../admin/key-object.ts'
import { callerOf } from '../../auth/require-caller.ts'
import type { Route } from '../../gateway-deps.ts'

/** POST /admin/keys: answers the key, once. */
export const createKey: Route = (app, { clock, db }) => {
  app.route({
    method: 'POST',
    url: '/admin/keys',
    schema: {
      tags: ['Admin'],
      summary: 'Create an API key',
      body: z.object({
        name: z.string().min(1).max(128),
        role: z.enum(['user', 'admin']).default('user'),
        tenant: z.string().nullish().describe("The caller's own when not given"),
        project: z.string().nullish().describe("What its spending belongs to; 'default' when not given"),
        expires_at: z.number().int().min(0).max(8_640_000_000_000).nullish().describe('Unix seconds'),
      }),
      response: { 200: keySchema.extend({ key: z.string() }).meta({ id: 'NewApiKey' }) },
    },
    handler: async (request) => {
      const { name, role, expires_at: expiresAt } = request.body
      const tenantId = request.body.tenant ?? callerOf(request).tenantId
      await checkTenant(db, tenantId)
      const expires = typeof expiresAt === 'number' ? { expiresAt: new Date(expiresAt * 1000) } : {}
      const projectId = request.body.project ?? 'default'
      await checkProject(db, { tenantId, id: projectId })
      const who = { tenantId, projectId, name, role }
      const { key, record } = await createApiKey(db, { ...who, nowMs: clock.now(), ...expires })
      return { ...keyObject(record), key }
    },
  })
}
