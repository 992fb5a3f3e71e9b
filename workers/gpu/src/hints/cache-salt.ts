import { createHmac } from 'node:crypto'

// Tenants remembered at once; beyond it all are forgotten and made again.
const rememberedMax = 10_000

/**
 * Makes what keeps a tenant's prefixes apart from all others' in an engine's prefix cache: the same for a tenant and a
 * secret, and without the secret not to be told from the tenant's id. Made once per tenant, for every request needs it.
 */
export function makeCacheSalts(secret: string | Buffer): (tenantId: string) => string {
  const salts = new Map<string, string>()
  return (tenantId) => {
    const known = salts.get(tenantId)
    if (known !== undefined) return known
    if (salts.size >= rememberedMax) salts.clear()
    const salt = createHmac('sha256', secret).update(tenantId).digest('base64url')
    salts.set(tenantId, salt)
    return salt
  }
}
