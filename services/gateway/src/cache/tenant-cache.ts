import { z } from 'zod'

/** What a tenant wants of the caches, as the API shows it. */
export const tenantCacheSchema = z
  .object({
    object: z.literal('tenant.cache'),
    tenant: z.string(),
    exact: z.boolean().describe('whether equal deterministic requests are answered from the cache'),
  })
  .meta({ id: 'TenantCache' })
