import { dropEmptyMonths, retireBlocks } from '@forebay/audit'
import { type Clock, describeError, type Logger, newId, type Running } from '@forebay/kernel'
import type { Database, Row } from '@forebay/store'

const everyMs = 3_600_000
const stepsPerRun = 500

interface AuditRetentionOptions {
  db: Database
  clock: Clock
  logger: Logger
  /** Days of a tenant that has none of its own; undefined: for ever. */
  daysDefault: number | undefined
}

/** Removes from the audit log, every hour, what its tenants no longer keep. What fails is tried again an hour later. */
export function startAuditRetention(options: AuditRetentionOptions): Running {
  const { clock, logger } = options
  const stopping = new AbortController()
  let running: Promise<void> | undefined
  const stopTimer = clock.every(everyMs, () => {
    running ??= applyAuditRetention(options, stopping.signal)
      .catch((err: unknown) => logger.warn({ reason: describeError(err) }, 'audit retention could not be applied'))
      .finally(() => {
        running = undefined
      })
  })
  return {
    stop: async () => {
      stopTimer()
      stopping.abort()
      await running
    },
  }
}

/**
 * Removes what is older than each tenant keeps it, in whole blocks of its chain, and drops months that became empty.
 * Rows of a batch stay as long as the batch runs or its files are there: they say where its answers lie.
 */
export async function applyAuditRetention(options: AuditRetentionOptions, signal: AbortSignal): Promise<void> {
  const { clock, daysDefault, db, logger } = options
  const due = await db.query<Row & { tenantId: string; before: string }>(
    `SELECT t.id AS "tenantId", least((now() AT TIME ZONE 'UTC')::date - coalesce(r.audit_days, $1::int), needed.born)::text AS before
     FROM tenants t LEFT JOIN tenant_retention r ON r.tenant_id = t.id, LATERAL (
       SELECT min(born_of(b.id)) AS born FROM batches b WHERE b.tenant_id = t.id
         AND (b.status IN ('validating', 'in_progress', 'finalizing', 'cancelling')
           OR EXISTS (SELECT 1 FROM chunks c WHERE c.batch_id = b.id))) AS needed
     WHERE coalesce(r.audit_days, $1::int) IS NOT NULL ORDER BY t.id`,
    [daysDefault ?? null],
  )
  for (const { before, tenantId } of due) {
    let rows = 0
    for (let step = 0; step < stepsPerRun && !signal.aborted; step++) {
      const eventId = newId('aev_', clock.now())
      const removed = await retireBlocks(db, { tenantId, before, eventId, actor: 'results' })
      if (removed.rows === 0) break
      rows += removed.rows
    }
    if (rows > 0) logger.info({ tenantId, before, rows }, 'audit rows removed by retention')
  }
  if (signal.aborted || due.length === 0) return
  const months = await dropEmptyMonths(db)
  if (months.length > 0) logger.info({ months }, 'empty months of the audit log dropped')
}
