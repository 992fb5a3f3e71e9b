import type { Config } from '@forebay/config'
import { readRetention } from '@forebay/retention'
import type { Queryable } from '@forebay/store'
import { z } from 'zod'

const days = z.number().int().nullable()

/** How long what of a tenant is kept, as the API shows it. */
export const retentionSchema = z
  .object({
    object: z.literal('tenant.retention'),
    tenant: z.string(),
    zero: z.boolean().describe('nothing is kept but for the time to download it'),
    keep_live: z.boolean().describe('bodies and answers of live requests are kept as inputs and outputs are'),
    own: z
      .object({ input_days: days, output_days: days, audit_days: days, cache_seconds: days })
      .describe('what the tenant wishes itself; null: the default of the settings'),
    in_force: z
      .object({
        input_days: days.describe('of uploads, since their last use; null: until they are deleted'),
        output_days: days.describe('of output and error files, and of the parts that they are made of'),
        audit_days: days.describe('of rows of the audit log; null: for ever'),
        cache_seconds: z.number().int().describe('longest that an answer is cached; 0: never'),
      })
      .describe('what is done'),
  })
  .meta({ id: 'TenantRetention' })

/** What holds for a tenant now. */
export async function retentionObject(
  db: Queryable,
  config: Config,
  tenant: string,
): Promise<z.infer<typeof retentionSchema>> {
  const { inForce, own } = await readRetention(db, tenant, config)
  const shown = (of: { inputDays: number | null; outputDays: number | null; auditDays: number | null }) => ({
    input_days: of.inputDays,
    output_days: of.outputDays,
    audit_days: of.auditDays,
  })
  return {
    object: 'tenant.retention',
    tenant,
    zero: inForce.zero,
    keep_live: inForce.keepLive,
    own: { ...shown(own), cache_seconds: own.cacheSeconds },
    in_force: { ...shown(inForce), cache_seconds: inForce.cacheSeconds },
  }
}
