import { ForebayError } from '@forebay/kernel'
import type { Queryable } from '@forebay/store'
import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import { callerOf } from '../../auth/require-caller.ts'
import { askErasure } from '../../erasures/ask-erasure.ts'
import { erasureObject, erasureSchema } from '../../erasures/erasure-object.ts'
import type { Route } from '../../gateway-deps.ts'

const tables = { file: 'files', batch: 'batches', key: 'api_keys' } as const

/**
 * DELETE /admin/tenants/{id}/content: asks for an erasure; the scheduler does it. Asked for again while it is under way,
 * it is the same erasure. Cached answers are out of reach at once, and no new batch can read the files.
 */
export const eraseContent: Route = (app, { cacheRules, clock, db, logger }) => {
  app.route({
    method: 'DELETE',
    url: '/admin/tenants/:id/content',
    schema: {
      tags: ['Admin'],
      summary: 'Erase content of a tenant: of a file, a batch, a key, or all of it',
      params: z.object({ id: z.string() }),
      querystring: z.strictObject({
        file: z.string().optional().describe('this file, and the batches that read or wrote it'),
        batch: z.string().optional().describe('this batch, with its files'),
        key: z.string().optional().describe('what was sent with this API key (its id)'),
        all: z.literal('true').optional().describe('everything of the tenant'),
      }),
      response: { 202: erasureSchema },
    },
    handler: async (request, reply) => {
      const { id: tenantId } = request.params
      const { keyId } = callerOf(request)
      await checkTenant(db, tenantId)
      const { selector, target } = readSelector(request.query, tenantId)
      const row = await db.tx(async (tx) => {
        if (selector !== 'tenant') await checkTarget(tx, tenantId, selector, target)
        if (selector === 'tenant' || selector === 'file') {
          await tx.query(
            'UPDATE files SET deleted_at = now() WHERE tenant_id = $1 AND ($2 OR id = $3) AND deleted_at IS NULL',
            [tenantId, selector === 'tenant', target],
          )
        }
        return askErasure(tx, { clock, tenantId, selector, target, keyId })
      })
      await cacheRules.readAnew()
      logger.info({ erasureId: row.id, tenantId, selector, target, keyId }, 'erasure asked for')
      reply.code(202)
      return erasureObject(row)
    },
  })
}

type Selector = keyof typeof tables

function readSelector(
  query: { file?: string | undefined; batch?: string | undefined; key?: string | undefined; all?: 'true' | undefined },
  tenantId: string,
): { selector: Selector | 'tenant'; target: string } {
  const given = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]))
  const [one] = given
  if (given.length !== 1 || !one) {
    throw new ForebayError('invalid_value', 'Name exactly one of file, batch and key, or give all=true.', {
      param: 'file',
    })
  }
  const [name, value] = one
  return name === 'all' ? { selector: 'tenant', target: tenantId } : { selector: name as Selector, target: value }
}

async function checkTarget(tx: Queryable, tenantId: string, selector: Selector, target: string): Promise<void> {
  const rows = await tx.query(`SELECT 1 FROM ${tables[selector]} WHERE id = $1 AND tenant_id = $2`, [target, tenantId])
  if (rows.length > 0) return
  throw new ForebayError('not_found', `The tenant '${tenantId}' has no ${selector} '${target}'.`, { param: selector })
}
