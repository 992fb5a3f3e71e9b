import type { Database, Queryable, Row } from '@forebay/store'
import { type Block, hashOfBlock, hashOfEntries, noHash } from './block.ts'
import { encodingVersion } from './entries.ts'
import { type NewEntries, readNewEntries } from './seal-entries.ts'

/** What one round of sealing did. */
export interface Sealed {
  blocks: number
  entries: number
  /** There was more than one round takes. */
  more: boolean
}

const nothing: Sealed = { blocks: 0, entries: 0, more: false }
const entriesPerRound = 8_000

/**
 * Puts every entry that is committed and in no block yet into one block per tenant, at most some thousands at a time.
 * The order of sealing is that of the transactions' numbers, and a round ends below the oldest that still runs: so no
 * entry can appear later in a range that was sealed, although nobody who commits waits for the sealing. Of several
 * replicas one seals at a time; the others do nothing.
 */
export function sealRound(db: Database): Promise<Sealed> {
  return db.tx(async (tx) => {
    const [clock] = await tx.query<Row & { from: number; offset: number }>(
      'SELECT sealed_to AS from, xid_offset AS offset FROM audit_clock FOR UPDATE SKIP LOCKED',
    )
    if (!clock) return nothing
    // A statement of its own: the next one's snapshot is later, and sees all that is below the horizon.
    const [now] = await tx.query<Row & { xmin: number }>(
      'SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin',
    )
    const horizon = (now?.xmin ?? 0) + clock.offset
    const cut = await cutOf(tx, clock.from, horizon)
    const to = cut ?? horizon
    if (to <= clock.from) return nothing
    const groups = await readNewEntries(tx, { from: clock.from, to })
    if (groups.length === 0) return nothing
    const blocks = await nextBlocks(tx, groups, to)
    await insertBlocks(tx, blocks)
    await tx.query('UPDATE audit_clock SET sealed_to = $1', [to])
    return {
      blocks: blocks.length,
      entries: blocks.reduce((sum, { entries }) => sum + entries, 0),
      more: cut !== undefined,
    }
  })
}

/** Where a round ends that would otherwise be too long; undefined when it would not. */
async function cutOf(tx: Queryable, from: number, horizon: number): Promise<number | undefined> {
  const [row] = await tx.query<Row & { order: number }>(
    `SELECT commit_order AS order FROM requests WHERE commit_order >= $1 AND commit_order < $2
     ORDER BY commit_order OFFSET ${entriesPerRound} LIMIT 1`,
    [from, horizon],
  )
  return row && Math.max(row.order, from + 1)
}

async function nextBlocks(tx: Queryable, groups: readonly NewEntries[], to: number): Promise<Block[]> {
  const heads = await tx.query<Row & { tenantId: string; seq: number; hash: Buffer; toOrder: number }>(
    `SELECT t.id AS "tenantId", b.seq, b.hash, b.to_order AS "toOrder" FROM unnest($1::text[]) AS t (id), LATERAL (
       SELECT seq, hash, to_order FROM audit_blocks WHERE tenant_id = t.id ORDER BY seq DESC LIMIT 1) AS b`,
    [groups.map(({ tenantId }) => tenantId)],
  )
  const headOf = new Map(heads.map((head) => [head.tenantId, head]))
  return groups.map(({ entries, entryHashes, lastBorn, tenantId }) => {
    const head = headOf.get(tenantId)
    const block = {
      tenantId,
      seq: (head?.seq ?? 0) + 1,
      fromOrder: head?.toOrder ?? 0,
      toOrder: to,
      entries,
      lastBorn,
      entriesHash: hashOfEntries(entryHashes),
      prevHash: head?.hash ?? noHash,
    }
    return { ...block, entryHashes, hash: hashOfBlock(block) }
  })
}

async function insertBlocks(tx: Queryable, blocks: readonly Block[]): Promise<void> {
  await tx.query(
    `INSERT INTO audit_blocks (version, tenant_id, seq, from_order, to_order, entries, last_born, entries_hash,
       entry_hashes, prev_hash, hash)
     SELECT ${encodingVersion}, * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::int[],
       $6::date[], $7::bytea[], $8::bytea[], $9::bytea[], $10::bytea[])`,
    [
      blocks.map((b) => b.tenantId),
      blocks.map((b) => b.seq),
      blocks.map((b) => b.fromOrder),
      blocks.map((b) => b.toOrder),
      blocks.map((b) => b.entries),
      blocks.map((b) => b.lastBorn),
      blocks.map((b) => b.entriesHash),
      blocks.map((b) => b.entryHashes),
      blocks.map((b) => b.prevHash),
      blocks.map((b) => b.hash),
    ],
  )
}
