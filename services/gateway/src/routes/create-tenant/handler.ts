import { ForebayError } from '@forebay/kernel'
import { z } from 'zod'
import { type TenantRow, tenantObject, tenantSchema } from '../../admin/tenant-object.ts'
import type { Route } from '../../gateway-deps.ts'
import { checkResidency, residencySchema } from '../../pools/residency.ts'

const perMinute = z.number().int().min(1).max(2_147_483_647).nullish()

/** POST /admin/tenants. */
export const createTenant: Route = (app, { db, pools }) => {
  app.route({
    method: 'POST',
    url: '/admin/tenants',
    schema: {
      tags: ['Admin'],
      summary: 'Create a tenant',
      body: z.object({
        id: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'expected lower-case letters, digits, "-" and "_"'),
        name: z.string().min(1).max(256).optional(),
        weight: z.number().int().min(1).max(1_000).default(1),
        requests_per_minute: perMinute,
        tokens_per_minute: perMinute,
        residency: residencySchema.nullish(),
      }),
      response: { 200: tenantSchema },
    },
    handler: async (request) => {
      const { id, name, weight, requests_per_minute: requests, tokens_per_minute: tokens, residency } = request.body
      checkResidency(residency ?? null, pools, 'residency')
      const [row] = await db.query<TenantRow>(
        `INSERT INTO tenants (id, name, weight, requests_per_minute, tokens_per_minute, residency)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO NOTHING RETURNING *`,
        [id, name ?? id, weight, requests ?? null, tokens ?? null, residency ?? null],
      )
      if (!row) throw new ForebayError('conflict', `The tenant '${id}' exists already.`, { param: 'id' })
      return tenantObject(row)
    },
  })
}
