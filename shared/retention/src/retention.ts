import type { Queryable, Row } from '@forebay/store'

const dayMs = 86_400_000

/** How long what of a tenant is kept. Days count from when it was last used; null: until it is deleted. */
export interface Retention {
  /** Files that were uploaded. */
  inputDays: number | null
  /** Output and error files, with the parts that they are made of. */
  outputDays: number
  auditDays: number | null
  /** Longest that an answer is cached, in seconds; 0: never. */
  cacheSeconds: number
  /** Nothing is kept but for the time to download it. */
  zero: boolean
  /** Bodies and answers of live requests are kept, as inputs and outputs are. */
  keepLive: boolean
}

/** What holds for a tenant that says nothing itself: the settings' part of it. */
export interface RetentionDefaults {
  retentionInputDays?: number | undefined
  retentionOutputDays: number
  retentionAuditDays?: number | undefined
  cacheTtlMs: number
}

/** What a tenant wishes itself; null: the default. */
interface OwnRetention {
  inputDays: number | null
  outputDays: number | null
  auditDays: number | null
  cacheSeconds: number | null
}

/** What holds for a tenant: its own wishes over the defaults; with zero retention neither files nor answers are kept. */
export async function readRetention(
  db: Queryable,
  tenantId: string,
  defaults: RetentionDefaults,
): Promise<{ own: OwnRetention; inForce: Retention }> {
  const [stored] = await db.query<Row & OwnRetention & { zero: boolean; keepLive: boolean }>(
    `SELECT input_days AS "inputDays", output_days AS "outputDays", audit_days AS "auditDays",
       cache_seconds AS "cacheSeconds", zero, keep_live AS "keepLive" FROM tenant_retention WHERE tenant_id = $1`,
    [tenantId],
  )
  const none = { inputDays: null, outputDays: null, auditDays: null, cacheSeconds: null, zero: false, keepLive: false }
  const { keepLive, zero, ...own } = stored ?? none
  const ttlSeconds = Math.floor(defaults.cacheTtlMs / 1000)
  return {
    own,
    inForce: {
      inputDays: zero ? 0 : (own.inputDays ?? defaults.retentionInputDays ?? null),
      outputDays: zero ? 0 : (own.outputDays ?? defaults.retentionOutputDays),
      auditDays: own.auditDays ?? defaults.retentionAuditDays ?? null,
      cacheSeconds: zero ? 0 : Math.min(ttlSeconds, own.cacheSeconds ?? ttlSeconds),
      zero,
      keepLive: keepLive && !zero,
    },
  }
}

/** How long files of so many days are kept, in milliseconds: never less than there is to download them. */
export function keptMs(days: number, downloadWindowMs: number): number {
  return Math.max(days * dayMs, downloadWindowMs)
}
