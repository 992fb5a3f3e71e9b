import { createHash } from 'node:crypto'
import { ForebayError, newId } from '@forebay/kernel'
import { correctEntry } from '@forebay/ledger'
import { z } from 'zod'
import { checkProject, checkTenant } from '../../admin/check-tenant.ts'
import { type LedgerRow, ledgerObject, ledgerSchema } from '../../admin/ledger-object.ts'
import type { Route } from '../../gateway-deps.ts'
import { idempotencyKey } from '../../http/idempotency-key.ts'

/** POST /admin/ledger/corrections: a new entry that corrects an old one, or a credit. */
export const correctLedger: Route = (app, { clock, db }) => {
  app.route({
    method: 'POST',
    url: '/admin/ledger/corrections',
    schema: {
      tags: ['Admin'],
      summary: 'Correct what was charged',
      body: z.object({
        kind: z.enum(['adjustment', 'credit']),
        entry: z.number().int().min(1).nullish().describe('The id of the entry corrected; a credit may do without'),
        tenant: z.string().nullish().describe('Who gets a credit that names no entry'),
        project: z.string().nullish(),
        amount_nano: z.number().int().describe('Added to what was charged: negative for a credit'),
        currency: z
          .string()
          .regex(/^[A-Z]{3}$/, 'expected three capital letters')
          .default('USD'),
        reason: z.string().min(1).max(512),
      }),
      response: { 200: ledgerSchema },
    },
    handler: async (request) => {
      const { amount_nano: amountNano, currency, entry, kind, project, reason, tenant } = request.body
      if (amountNano === 0 || (kind === 'credit' && amountNano > 0)) {
        const text = "Invalid 'amount_nano': a correction is not 0, and a credit is negative."
        throw new ForebayError('invalid_value', text, { param: 'amount_nano' })
      }
      const named = typeof entry === 'number'
      if (!named && (kind === 'adjustment' || typeof tenant !== 'string')) {
        const text = "Name the 'entry' to correct, or the 'tenant' that gets a credit."
        throw new ForebayError('missing_required_parameter', text, { param: 'entry' })
      }
      if (!named && typeof tenant === 'string') {
        await checkTenant(db, tenant)
        await checkProject(db, { tenantId: tenant, id: project ?? 'default' })
      }
      const key = idempotencyKey(request.headers['idempotency-key'])
      const hash = key === null ? undefined : createHash('sha256').update(key).digest('hex').slice(0, 32)
      const id = await correctEntry(db, {
        id: hash === undefined ? newId('corr_', clock.now()) : `corr_${hash}`,
        entryId: entry ?? null,
        tenantId: named ? null : (tenant ?? null),
        projectId: named ? null : (project ?? null),
        ...{ amountNano, currency, kind, reason },
      })
      const [row] = await db.query<LedgerRow>('SELECT * FROM ledger WHERE id = $1', [id])
      if (!row) throw new Error('the correction is not there')
      return ledgerObject(row)
    },
  })
}
