import { ForebayError } from '@forebay/kernel'
import type { Queryable, Row } from '@forebay/store'
import { z } from 'zod'

/** Query parameters that OpenAI's lists share. */
export const listQuery = (options: { limitMax: number; limitDefault: number }) =>
  z.object({
    limit: z.coerce.number().int().min(1).max(options.limitMax).default(options.limitDefault),
    order: z.enum(['asc', 'desc']).default('desc'),
    after: z.string().optional(),
  })

/** OpenAI's list shape around an item's schema. */
export const listOf = <S extends z.ZodType>(item: S) =>
  z.object({
    object: z.literal('list'),
    data: z.array(item),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  })

/** A list answer from one row more than the limit, by which `has_more` is known. */
export function toList<R extends { id: string }, T extends { id: string }>(
  rows: readonly R[],
  limit: number,
  show: (row: R) => T,
) {
  const data = rows.slice(0, limit).map(show)
  return {
    object: 'list' as const,
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: rows.length > limit,
  }
}

/**
 * A tenant's rows after a cursor, by creation, one more than `limit`. `where` is trusted SQL over `values`, which are
 * numbered from $3. Throws `not_found` when the cursor names nothing of this tenant.
 */
export async function selectPage<R extends Row>(
  db: Queryable,
  options: {
    from: 'files' | 'batches' | 'reviews'
    tenantId: string
    limit: number
    order: 'asc' | 'desc'
    after?: string | undefined
    where?: string
    values?: readonly unknown[]
  },
): Promise<R[]> {
  const { from, tenantId, after } = options
  const direction = options.order === 'asc' ? '>' : '<'
  const values = [tenantId, options.limit + 1, ...(options.values ?? [])]
  let cursor = ''
  if (after !== undefined) {
    // The cursor may have been deleted since: a loop that deletes what it lists goes on.
    const known = await db.query(`SELECT 1 FROM ${from} WHERE id = $1 AND tenant_id = $2`, [after, tenantId])
    if (known.length === 0) throw new ForebayError('not_found', `No item found with id '${after}'.`, { param: 'after' })
    values.push(after)
    cursor = `AND (created_at, id) ${direction} (SELECT created_at, id FROM ${from} WHERE id = $${values.length})`
  }
  return db.query<R>(
    `SELECT * FROM ${from} WHERE tenant_id = $1 AND ${options.where ?? 'true'} ${cursor}
     ORDER BY created_at ${options.order}, id ${options.order} LIMIT $2`,
    values,
  )
}

/** Unix seconds, as OpenAI's objects show times. */
export function seconds(date: Date): number
export function seconds(date: Date | null): number | null
export function seconds(date: Date | null): number | null {
  return date && Math.floor(date.getTime() / 1000)
}
