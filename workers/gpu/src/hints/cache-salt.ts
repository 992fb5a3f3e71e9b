import { createHmac } from 'node:crypto'

/**
 * What keeps a tenant's prefixes apart from all others' in an engine's prefix cache: the same for a tenant and a
 * secret, and without the secret not to be told from the tenant's id.
 */
export function cacheSalt(secret: string | Buffer, tenantId: string): string {
  return createHmac('sha256', secret).update(tenantId).digest('base64url')
}
