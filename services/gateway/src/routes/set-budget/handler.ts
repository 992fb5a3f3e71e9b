import { setBudget as store } from '@forebay/budgets'
import { ForebayError } from '@forebay/kernel'
import type { Queryable } from '@forebay/store'
import { z } from 'zod'
import { checkProject, checkTenant } from '../../admin/check-tenant.ts'
import { budgetObject, budgetSchema } from '../../budgets/budget-object.ts'
import type { Route } from '../../gateway-deps.ts'

const nano = z.number().int().min(0).nullish().describe('Nano-units; none when not given')

/** PUT /admin/budgets: sets the limits of a scope and period. */
export const setBudget: Route = (app, { budgets, clock, db }) => {
  app.route({
    method: 'PUT',
    url: '/admin/budgets',
    schema: {
      tags: ['Admin'],
      summary: 'Set a budget',
      body: z.object({
        tenant: z.string(),
        project: z.string().nullish().describe('For this project alone'),
        key: z.string().nullish().describe('For this API key alone, by its id'),
        period: z.enum(['day', 'month', 'total']).default('month').describe('By UTC'),
        soft_nano: nano,
        hard_nano: nano,
        currency: z
          .string()
          .regex(/^[A-Z]{3}$/, 'expected three capital letters')
          .default('USD'),
      }),
      response: { 200: budgetSchema },
    },
    handler: async (request) => {
      const { currency, hard_nano: hard, key, period, project, soft_nano: soft, tenant } = request.body
      if (typeof project === 'string' && typeof key === 'string') {
        throw new ForebayError('invalid_value', "Give 'project' or 'key', not both.", { param: 'key' })
      }
      if (typeof soft !== 'number' && typeof hard !== 'number') {
        const text = "Missing required parameter: 'soft_nano' or 'hard_nano'."
        throw new ForebayError('missing_required_parameter', text, { param: 'hard_nano' })
      }
      await checkTenant(db, tenant)
      if (typeof project === 'string') await checkProject(db, { tenantId: tenant, id: project })
      if (typeof key === 'string') await checkKey(db, { tenantId: tenant, id: key })
      const scope = typeof project === 'string' ? 'project' : typeof key === 'string' ? 'key' : 'tenant'
      const wish = {
        scope,
        scope_id: project ?? key ?? tenant,
        soft_nano: soft ?? null,
        hard_nano: hard ?? null,
      } as const
      const row = await store(db, { tenant_id: tenant, period, currency, ...wish }, clock.now())
      await budgets.refresh()
      return budgetObject(row)
    },
  })
}

async function checkKey(db: Queryable, key: { tenantId: string; id: string }): Promise<void> {
  const rows = await db.query('SELECT 1 FROM api_keys WHERE tenant_id = $1 AND id = $2', [key.tenantId, key.id])
  if (rows.length > 0) return
  const text = `The tenant '${key.tenantId}' has no API key '${key.id}'.`
  throw new ForebayError('not_found', text, { param: 'key' })
}
