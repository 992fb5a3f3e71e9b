import type { BudgetRow } from '@forebay/budgets'
import { z } from 'zod'
import { seconds } from '../http/list-page.ts'

/** What may be spent in a period, and what was. */
export const budgetSchema = z
  .object({
    id: z.string(),
    object: z.literal('budget'),
    tenant: z.string(),
    scope: z.enum(['tenant', 'project', 'key']),
    scope_id: z.string(),
    period: z.enum(['day', 'month', 'total']),
    soft_nano: z.number().int().nullable().describe('An event tells when it is reached'),
    hard_nano: z.number().int().nullable().describe('Nothing is accepted that may go beyond it'),
    currency: z.string(),
    period_start: z.number().int(),
    spent_nano: z.number().int().describe('In the present period'),
    held_nano: z.number().int().describe('Set aside for what was accepted and is not charged yet'),
    soft_reached_at: z.number().int().nullable(),
    created_at: z.number().int(),
  })
  .meta({ id: 'Budget' })

/** A budget as the API shows it. */
export function budgetObject(row: BudgetRow): z.infer<typeof budgetSchema> {
  const { currency, hard_nano, held_nano, id, period, scope, scope_id, soft_nano, spent_nano } = row
  return {
    id,
    object: 'budget',
    tenant: row.tenant_id,
    ...{ scope, scope_id, period, soft_nano, hard_nano, currency },
    period_start: seconds(row.starts_at),
    ...{ spent_nano, held_nano },
    soft_reached_at: seconds(row.soft_reached_at),
    created_at: seconds(row.created_at),
  }
}
