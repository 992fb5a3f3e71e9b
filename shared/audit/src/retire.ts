import type { Database, Queryable, Row } from '@forebay/store'

/** What one step of retention removed. */
export interface Retired {
  blocks: number
  rows: number
}

const nothing: Retired = { blocks: 0, rows: 0 }
const rowsPerStep = 20_000
const blocksPerStep = 1_000

interface OldBlock extends Row {
  seq: number
  fromOrder: number
  toOrder: number
  entries: number
}

/**
 * Removes from a tenant's log the rows of its oldest blocks, as long as a block has none that was born on the day
 * `before` or later: rows and their hashes go, the blocks' own hashes stay, and an event in the same transaction says
 * up to which block. Some thousands of rows at a time: call again until it answers no rows. Of several replicas one
 * does it at a time.
 */
export function retireBlocks(
  db: Database,
  options: { tenantId: string; before: string; eventId: string; actor: string },
): Promise<Retired> {
  const { actor, before, eventId, tenantId } = options
  return db.tx(async (tx) => {
    const [lock] = await tx.query<Row & { taken: boolean }>(
      `SELECT pg_try_advisory_xact_lock(hashtext('audit retention ' || $1)) AS taken`,
      [tenantId],
    )
    if (!lock?.taken) return nothing
    const blocks = await oldBlocks(tx, tenantId, before)
    const [first, last] = [blocks[0], blocks.at(-1)]
    if (!first || !last) return nothing
    const removed = await tx.query(
      'DELETE FROM requests WHERE tenant_id = $1 AND commit_order >= $2 AND commit_order < $3 RETURNING 1',
      [tenantId, first.fromOrder, last.toOrder],
    )
    // Blocks of events alone, as this writes itself, are not worth another event.
    if (removed.length === 0) return nothing
    await tx.query('UPDATE audit_blocks SET entry_hashes = NULL WHERE tenant_id = $1 AND seq BETWEEN $2 AND $3', [
      tenantId,
      first.seq,
      last.seq,
    ])
    await tx.query(
      `INSERT INTO audit_swept (tenant_id, swept_to, through_block) VALUES ($1, $2, $3)
       ON CONFLICT (tenant_id) DO UPDATE SET through_block = $3, swept_to = greatest(audit_swept.swept_to, $2)`,
      [tenantId, before, last.seq],
    )
    const data = { through_block: last.seq, before, blocks: blocks.length, rows: removed.length }
    await recordAuditEvent(tx, { id: eventId, tenantId, action: 'retention', actor, data })
    return { blocks: blocks.length, rows: removed.length }
  })
}

/** Writes into the log what was done to it; call it in the transaction that does it. */
export async function recordAuditEvent(
  tx: Queryable,
  event: { id: string; tenantId: string; action: 'erasure' | 'retention'; actor: string; data: object },
): Promise<void> {
  const { action, actor, data, id, tenantId } = event
  await tx.query('INSERT INTO audit_events (id, tenant_id, action, actor, data) VALUES ($1, $2, $3, $4, $5)', [
    ...[id, tenantId, action, actor],
    JSON.stringify(data),
  ])
}

/** Drops the months of the log that are over for long and empty, and answers their names. */
export async function dropEmptyMonths(db: Database): Promise<string[]> {
  const months = await db.query<Row & { name: string }>(
    `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'requests'::regclass AND c.relname ~ '^requests_\\d{4}_\\d{2}$'
       AND c.relname < 'requests_' || to_char(now() AT TIME ZONE 'UTC' - interval '2 months', 'YYYY_MM')`,
  )
  const dropped: string[] = []
  for (const { name } of months) {
    const gone = await db.tx(async (tx) => {
      if ((await tx.query(`SELECT 1 FROM ${name} LIMIT 1`)).length > 0) return false
      // Whoever commits results waits while this waits.
      await tx.query(`SET LOCAL lock_timeout = '2s'`)
      await tx.query(`LOCK TABLE ${name} IN ACCESS EXCLUSIVE MODE`)
      if ((await tx.query(`SELECT 1 FROM ${name} LIMIT 1`)).length > 0) return false
      await tx.query(`DROP TABLE ${name}`)
      return true
    })
    if (gone) dropped.push(name)
  }
  return dropped
}

/** The oldest blocks that still have their rows, up to the first with a row that is to stay. */
function oldBlocks(tx: Queryable, tenantId: string, before: string): Promise<OldBlock[]> {
  return tx.query<OldBlock>(
    `WITH begin AS (SELECT coalesce((SELECT through_block FROM audit_swept WHERE tenant_id = $1), 0) AS seq),
       old AS (
         SELECT seq, from_order AS "fromOrder", to_order AS "toOrder", entries, sum(entries) OVER (ORDER BY seq) AS sum
         FROM audit_blocks WHERE tenant_id = $1 AND seq > (SELECT seq FROM begin)
           AND seq < coalesce((SELECT min(seq) FROM audit_blocks WHERE tenant_id = $1 AND last_born >= $2
             AND seq > (SELECT seq FROM begin)), 9223372036854775807))
     SELECT seq, "fromOrder", "toOrder", entries FROM old WHERE sum - entries < ${rowsPerStep}
     ORDER BY seq LIMIT ${blocksPerStep}`,
    [tenantId, before],
  )
}
