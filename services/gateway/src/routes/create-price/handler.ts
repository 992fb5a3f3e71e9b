import { laneSchema } from '@forebay/contracts'
import { ForebayError } from '@forebay/kernel'
import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import { type PriceRow, priceObject, priceSchema, usageTypes } from '../../admin/price-object.ts'
import type { Route } from '../../gateway-deps.ts'

/** POST /admin/prices: ends the price that was in force for the same scope, and opens this one, at one instant. */
export const createPrice: Route = (app, { db }) => {
  app.route({
    method: 'POST',
    url: '/admin/prices',
    schema: {
      tags: ['Admin'],
      summary: 'Set a price',
      body: z.object({
        tenant: z.string().nullish(),
        model: z.string().min(1).max(512).describe("'*': every model"),
        usage_type: z.enum(usageTypes),
        lane: laneSchema.nullish(),
        nano_per_million: z.number().int().min(0),
        currency: z
          .string()
          .regex(/^[A-Z]{3}$/, 'expected three capital letters')
          .default('USD'),
        effective_from: z
          .number()
          .int()
          .min(0)
          .max(8_640_000_000_000)
          .nullish()
          .describe('Unix seconds; now when not given'),
      }),
      response: { 200: priceSchema },
    },
    handler: async (request) => {
      const body = request.body
      if (typeof body.tenant === 'string') await checkTenant(db, body.tenant)
      const scope = [body.tenant ?? null, body.model, body.usage_type, body.lane ?? null]
      const from = typeof body.effective_from === 'number' ? new Date(body.effective_from * 1000) : null
      const row = await db
        .tx(async (tx) => {
          await tx.query(
            `UPDATE prices SET effective_to = coalesce($5, now())
             WHERE tenant_id IS NOT DISTINCT FROM $1 AND model = $2 AND usage_type = $3 AND lane IS NOT DISTINCT FROM $4
               AND effective_from < coalesce($5, now()) AND effective_to IS NULL`,
            [...scope, from],
          )
          const [created] = await tx.query<PriceRow>(
            `INSERT INTO prices (tenant_id, model, usage_type, lane, effective_from, nano_per_million, currency)
             VALUES ($1, $2, $3, $4, coalesce($5, now()), $6, $7) RETURNING *`,
            [...scope, from, body.nano_per_million, body.currency],
          )
          return created
        })
        .catch((err: unknown) => {
          const code = err instanceof Error && 'code' in err ? err.code : undefined
          if (code !== exclusionViolation) throw err
          const text =
            'Another price of the same scope is in force at that time or later. Choose a later effective_from.'
          throw new ForebayError('conflict', text, { param: 'effective_from', cause: err })
        })
      if (!row) throw new Error('the price was not inserted')
      return priceObject(row)
    },
  })
}

const exclusionViolation = '23P01'
