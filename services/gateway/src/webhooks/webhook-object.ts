import type { Row } from '@forebay/store'
import { z } from 'zod'
import { seconds } from '../http/list-page.ts'

/** The events an endpoint can ask for. */
export const webhookEvents = [
  'batch.completed',
  'batch.failed',
  'batch.expired',
  'batch.cancelled',
  'cache.semantic_stopped',
  'budget.soft_reached',
  'rollout.started',
  'rollout.stepped',
  'rollout.promoted',
  'rollout.rolled_back',
  'quality.alert',
] as const

/** A row of `webhook_endpoints`. */
export interface WebhookRow extends Row {
  id: string
  url: string
  events: string[]
  created_at: Date
  disabled_at: Date | null
  disabled_reason: string | null
}

/** A webhook endpoint; its secret is shown by the answer that creates it alone. */
export const webhookSchema = z
  .object({
    id: z.string(),
    object: z.literal('webhook_endpoint'),
    url: z.string(),
    events: z.array(z.string()).describe('Empty: all'),
    created_at: z.number().int(),
    disabled_at: z.number().int().nullable(),
    disabled_reason: z.string().nullable(),
  })
  .meta({ id: 'WebhookEndpoint' })

/** An endpoint as the API shows it. */
export function webhookObject(row: WebhookRow): z.infer<typeof webhookSchema> {
  return {
    id: row.id,
    object: 'webhook_endpoint',
    url: row.url,
    events: row.events,
    created_at: seconds(row.created_at),
    disabled_at: seconds(row.disabled_at),
    disabled_reason: row.disabled_reason,
  }
}
