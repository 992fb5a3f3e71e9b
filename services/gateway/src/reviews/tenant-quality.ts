import type { Config } from '@forebay/config'
import type { Queryable, Row } from '@forebay/store'
import { z } from 'zod'

/** How much of a tenant's batch answers the judge model looks at. */
export const tenantQualitySchema = z
  .object({
    object: z.literal('tenant.quality'),
    tenant: z.string(),
    judge_model: z.string().nullable().describe('Null: no answer is judged'),
    judge_share: z.number().min(0).max(1).describe('In force'),
    own_judge_share: z
      .number()
      .min(0)
      .max(1)
      .nullable()
      .describe("The tenant's own; null: as FOREBAY_JUDGE_SHARE says"),
  })
  .meta({ id: 'TenantQuality' })

/** What holds for a tenant now. */
export async function tenantQualityObject(
  db: Queryable,
  config: Pick<Config, 'judgeModel' | 'judgeShare'>,
  tenant: string,
): Promise<z.infer<typeof tenantQualitySchema>> {
  const [row] = await db.query<Row & { share: number }>(
    'SELECT round(judge_share::numeric, 6)::float8 AS share FROM tenant_quality WHERE tenant_id = $1',
    [tenant],
  )
  return {
    object: 'tenant.quality',
    tenant,
    judge_model: config.judgeModel ?? null,
    judge_share: row?.share ?? config.judgeShare,
    own_judge_share: row?.share ?? null,
  }
}
