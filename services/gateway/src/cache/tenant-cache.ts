import type { Queryable, Row } from '@forebay/store'
import { z } from 'zod'
import type { CacheRules } from './cache-rules.ts'

/** What a tenant wants of the caches, as the API shows it. */
export const tenantCacheSchema = z
  .object({
    object: z.literal('tenant.cache'),
    tenant: z.string(),
    exact: z.boolean().describe('whether equal deterministic requests are answered from the cache'),
    semantic: z.boolean().describe('whether questions that mean the same may be, once that was measured to be right'),
    trust: z.array(
      z.object({
        model: z.string(),
        state: z.enum(['shadow', 'serving', 'stopped']),
        samples: z.number().int(),
        errors: z.number().int(),
      }),
    ),
  })
  .meta({ id: 'TenantCache' })

interface TrustRow extends Row {
  model: string
  state: 'shadow' | 'serving' | 'stopped'
  samples: number
  errors: number
}

/** What holds for a tenant now. */
export async function tenantCacheObject(
  db: Queryable,
  rules: CacheRules,
  tenant: string,
): Promise<z.infer<typeof tenantCacheSchema>> {
  await rules.readAnew()
  const { exact, semantic } = rules.of(tenant)
  const trust = await db.query<TrustRow>(
    'SELECT model, state, samples, errors FROM semantic_trust WHERE tenant_id = $1 ORDER BY model',
    [tenant],
  )
  return { object: 'tenant.cache', tenant, exact, semantic, trust }
}
