import { laneSchema } from '@forebay/contracts'
import { ForebayError } from '@forebay/kernel'
import type { Queryable, Row } from '@forebay/store'
import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import { type PriceRow, priceObject, priceSchema, usageTypes } from '../../admin/price-object.ts'
import type { Route } from '../../gateway-deps.ts'

/** POST /admin/prices: ends the price that was in force for the same scope, and opens this one, at one instant. */
export const createPrice: Route = (app, { db, prices }) => {
  app.route({
    method: 'POST',
    url: '/admin/prices',
    schema: {
      tags: ['Admin'],
      summary: 'Set a price',
      body: z.object({
        tenant: z.string().nullish(),
        model: z.string().min(1).max(512).describe("'*': every model"),
        model_version: z.string().min(1).max(512).nullish().describe('Every version when not given'),
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
          .describe('Unix seconds, not in the past; now when not given'),
      }),
      response: { 200: priceSchema },
    },
    handler: async (request) => {
      const body = request.body
      if (typeof body.tenant === 'string') await checkTenant(db, body.tenant)
      if (typeof body.model_version === 'string' && body.model === '*') {
        const text = "A price of a 'model_version' needs the 'model' that it is a version of."
        throw new ForebayError('invalid_value', text, { param: 'model_version' })
      }
      const scope = [body.tenant ?? null, body.model, body.usage_type, body.lane ?? null, body.model_version ?? null]
      const row = await db
        .tx(async (tx) => {
          // Waits for the charges under way, which have not seen this price: it begins after them.
          await tx.query('LOCK TABLE prices IN ACCESS EXCLUSIVE MODE')
          const from = await beginsAt(tx, body.effective_from ?? null)
          await tx.query(
            `UPDATE prices SET effective_to = $6
             WHERE tenant_id IS NOT DISTINCT FROM $1 AND model = $2 AND usage_type = $3 AND lane IS NOT DISTINCT FROM $4
               AND model_version IS NOT DISTINCT FROM $5 AND effective_from < $6 AND effective_to IS NULL`,
            [...scope, from],
          )
          const [created] = await tx.query<PriceRow>(
            `INSERT INTO prices (tenant_id, model, usage_type, lane, model_version, effective_from, nano_per_million, currency)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *`,
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
      await prices.refresh()
      return priceObject(row)
    },
  })
}

const exclusionViolation = '23P01'
const pastMsMax = 60_000

/** When a price begins, as Postgres writes it: now, or the second asked for. Throws `conflict` for one in the past. */
async function beginsAt(tx: Queryable, seconds: number | null): Promise<string> {
  const [clock] = await tx.query<Row & { now: string; ms: number }>(
    'SELECT t::text AS now, (extract(epoch FROM t) * 1000)::float8 AS ms FROM clock_timestamp() AS t',
  )
  if (!clock) throw new Error('the database did not tell its time')
  if (seconds === null) return clock.now
  if (seconds * 1000 < clock.ms - pastMsMax) {
    const text =
      'A price cannot begin in the past: what was charged stays charged. Choose a later effective_from, and correct past charges with POST /admin/ledger/corrections.'
    throw new ForebayError('conflict', text, { param: 'effective_from' })
  }
  return seconds * 1000 <= clock.ms ? clock.now : new Date(seconds * 1000).toISOString()
}
