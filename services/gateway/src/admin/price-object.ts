import type { Row } from '@forebay/store'
import { z } from 'zod'
import { seconds } from '../http/list-page.ts'

/** What a price is for. */
export const usageTypes = ['input', 'cached_input', 'output', 'reasoning', 'embedding'] as const

/** A row of `prices`. */
export interface PriceRow extends Row {
  id: number
  tenant_id: string | null
  model: string
  model_version: string | null
  usage_type: (typeof usageTypes)[number]
  lane: 'realtime' | 'standard' | 'batch' | null
  nano_per_million: number
  currency: string
  effective_from: Date
  effective_to: Date | null
}

/** A price of the price book. */
export const priceSchema = z
  .object({
    id: z.number().int(),
    object: z.literal('price'),
    tenant: z.string().nullable().describe('Null: every tenant'),
    model: z.string().describe("'*': every model"),
    model_version: z.string().nullable().describe('Null: every version'),
    usage_type: z.enum(usageTypes),
    lane: z.string().nullable().describe('Null: every lane'),
    nano_per_million: z.number().int().describe('Billionths of the currency per million tokens'),
    currency: z.string(),
    effective_from: z.number().int(),
    effective_to: z.number().int().nullable(),
  })
  .meta({ id: 'Price' })

/** A price as the API shows it. */
export function priceObject(row: PriceRow): z.infer<typeof priceSchema> {
  return {
    id: row.id,
    object: 'price',
    tenant: row.tenant_id,
    model: row.model,
    model_version: row.model_version,
    usage_type: row.usage_type,
    lane: row.lane,
    nano_per_million: row.nano_per_million,
    currency: row.currency,
    effective_from: seconds(row.effective_from),
    effective_to: seconds(row.effective_to),
  }
}
