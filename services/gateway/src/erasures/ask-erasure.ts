import { type Clock, newId } from '@forebay/kernel'
import type { Queryable } from '@forebay/store'
import type { ErasureRow } from './erasure-object.ts'

/**
 * Asks for an erasure, in a transaction; the one that is under way for the same, if there is one. The tenant's cached
 * answers are out of reach with it.
 */
export async function askErasure(
  tx: Queryable,
  asked: { clock: Clock; tenantId: string; selector: ErasureRow['selector']; target: string; keyId: string },
): Promise<ErasureRow> {
  const { clock, keyId, selector, target, tenantId } = asked
  await tx.query('SELECT flush_cache($1, NULL)', [tenantId])
  // A batch that was just made of one of the files was made before this.
  const [made] = await tx.query<ErasureRow>(
    `INSERT INTO erasures (id, tenant_id, selector, target, requested_by, created_at)
     VALUES ($1, $2, $3, $4, $5, clock_timestamp())
     ON CONFLICT (tenant_id, selector, target) WHERE status <> 'completed' DO UPDATE SET target = $4 RETURNING *`,
    [newId('ers_', clock.now()), tenantId, selector, target, keyId],
  )
  if (!made) throw new Error('the erasure was not inserted')
  return made
}
