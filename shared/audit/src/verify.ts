import type { Database, Queryable, Row } from '@forebay/store'
import { type Block, blockColumns, hashOfBlock, hashOfEntries, noHash } from './block.ts'
import { compareEntries } from './compare-entries.ts'
import { readEntries } from './entries.ts'
import { isSigned, keyIdOf } from './signing.ts'

/** A place where the log is not what was sealed or signed. */
export interface Finding {
  kind: 'changed' | 'removed' | 'inserted' | 'block' | 'truncated' | 'checkpoint'
  /** The block, from 1. */
  seq: number
  /** The request or event, where one can be named. */
  id: string | null
  text: string
}

/** What one call of verifyChain looked at. */
export interface Verified {
  blocks: number
  entries: number
  /** Of these, rows from which a person's data was erased. */
  erased: number
  /** Blocks whose rows have left the log by retention: their place in the chain was checked, nothing else. */
  retired: number
  checkpoints: number
  keyIds: string[]
  findings: Finding[]
  /** The last block looked at: where the next call goes on. */
  lastSeq: number
  /** Whether that was the end of the chain. */
  done: boolean
  /** Entries that are in no block yet; told at the end. */
  unsealed: number
}

interface Checkpoint extends Row {
  seq: number
  hash: Buffer
  signature: Buffer
  signedAtMs: number
  publicKey: string
  keyId: string
}

/**
 * Computes a part of a tenant's chain anew from the rows: the `blocksMax` blocks after `afterSeq`, with the checkpoints
 * among them, and at the end of the chain also the latest checkpoint and what lies outside of every block. Changes nothing.
 * All of one call is of one moment.
 */
export function verifyChain(
  db: Database,
  options: { tenantId: string; afterSeq: number; blocksMax: number },
): Promise<Verified> {
  const { tenantId, afterSeq, blocksMax } = options
  return db.tx(async (tx) => {
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
    const retiredTo = await retiredThrough(tx, tenantId)
    const [before] = afterSeq > 0 ? await readBlocks(tx, tenantId, afterSeq - 1, 1) : []
    const blocks = await readBlocks(tx, tenantId, afterSeq, blocksMax)
    const result: Verified = {
      blocks: 0,
      entries: 0,
      erased: 0,
      retired: 0,
      checkpoints: 0,
      keyIds: [],
      findings: [],
      lastSeq: blocks.at(-1)?.seq ?? afterSeq,
      done: blocks.length < blocksMax,
      unsealed: 0,
    }
    let previous = before
    for (const block of blocks) {
      checkLinks(block, previous, previous?.seq ?? afterSeq, result)
      await checkEntries(tx, block, retiredTo, result)
      previous = block
    }
    await checkCheckpoints(tx, { tenantId, afterSeq, blocks, previous }, result)
    if (result.done) await checkTail(tx, tenantId, previous?.toOrder ?? 0, result)
    result.findings.sort((a, b) => a.seq - b.seq)
    return result
  })
}

function checkLinks(block: Block, previous: Block | undefined, previousSeq: number, result: Verified): void {
  const fault = (text: string) => result.findings.push({ kind: 'block', seq: block.seq, id: null, text })
  result.blocks++
  if (block.seq !== previousSeq + 1) fault(`blocks ${previousSeq + 1} to ${block.seq - 1} are missing`)
  else if (!block.prevHash.equals(previous?.hash ?? noHash) || block.fromOrder !== (previous?.toOrder ?? 0)) {
    fault(`block ${block.seq} does not follow from the block before it`)
  }
  if (!block.hash.equals(hashOfBlock(block))) fault(`block ${block.seq} is not what its hash says`)
}

async function checkEntries(tx: Queryable, block: Block, retiredTo: number, result: Verified): Promise<void> {
  const { seq, tenantId } = block
  const entries = await readEntries(tx, { from: block.fromOrder, to: block.toOrder, tenantId })
  if (seq <= retiredTo) {
    result.retired++
    // What was done to the log stays in it, when the rows around it have left.
    for (const { id, kind } of entries) {
      const text = `request ${id} is in block ${seq}, whose rows have left the log`
      if (kind === 'row') result.findings.push({ kind: 'inserted', seq, id, text })
    }
    return
  }
  result.entries += entries.length
  result.erased += entries.filter((entry) => entry.erased).length
  const sealed = block.entryHashes
  if (sealed === null || sealed.length !== block.entries * 32 || !hashOfEntries(sealed).equals(block.entriesHash)) {
    const text = `the hashes of block ${seq}'s entries are not those that were sealed`
    result.findings.push({ kind: 'block', seq, id: null, text })
    return
  }
  const hashes = Array.from({ length: block.entries }, (_, i) => sealed.toString('hex', i * 32, i * 32 + 32))
  for (const difference of compareEntries(hashes, entries)) {
    const { kind, position } = difference
    const id = kind === 'removed' ? null : difference.id
    const text =
      kind === 'removed'
        ? `entry ${position} of block ${seq} was removed; it stood ${difference.after === null ? 'first' : `after ${difference.after}`}`
        : kind === 'changed'
          ? `${id}, entry ${position} of block ${seq}, was changed`
          : `${id} was put into block ${seq}, or moved there, after it was sealed`
    result.findings.push({ kind, seq, id, text })
  }
}

async function checkCheckpoints(
  tx: Queryable,
  chain: { tenantId: string; afterSeq: number; blocks: readonly Block[]; previous: Block | undefined },
  result: Verified,
): Promise<void> {
  const { tenantId, afterSeq, blocks, previous } = chain
  const checkpoints = await tx.query<Checkpoint>(
    `SELECT c.seq, c.hash, c.signature, round(extract(epoch FROM c.signed_at) * 1000)::float8 AS "signedAtMs",
       c.key_id AS "keyId", k.public_key AS "publicKey"
     FROM audit_checkpoints c JOIN audit_keys k ON k.id = c.key_id
     WHERE c.tenant_id = $1 AND c.seq > $2 AND (c.seq <= $3 OR $4) ORDER BY c.seq`,
    [tenantId, afterSeq, result.lastSeq, result.done],
  )
  const bySeq = new Map(blocks.map((block) => [block.seq, block]))
  for (const checkpoint of checkpoints) {
    const { seq, hash, signature, signedAtMs, publicKey, keyId } = checkpoint
    result.checkpoints++
    if (!result.keyIds.includes(keyId)) result.keyIds.push(keyId)
    const fault = (kind: Finding['kind'], text: string) => result.findings.push({ kind, seq, id: null, text })
    if (keyIdOf(publicKey) !== keyId || !isSigned({ tenantId, seq, hash, signedAtMs }, signature, publicKey)) {
      fault('checkpoint', `the checkpoint of block ${seq} is not signed by key ${keyId}`)
    } else if (seq > (previous?.seq ?? 0)) {
      fault('truncated', `the chain ends at block ${previous?.seq ?? 0}, but a checkpoint was signed for block ${seq}`)
    } else if (bySeq.get(seq) && !bySeq.get(seq)?.hash.equals(hash)) {
      fault('checkpoint', `block ${seq} is not the one a checkpoint was signed for`)
    }
  }
}

async function checkTail(tx: Queryable, tenantId: string, endOrder: number, result: Verified): Promise<void> {
  const [clock] = await tx.query<Row & { sealedTo: number }>('SELECT sealed_to AS "sealedTo" FROM audit_clock')
  const sealedTo = clock?.sealedTo ?? 0
  const [open] = await tx.query<Row & { rows: number }>(
    `SELECT (SELECT count(*) FROM requests WHERE tenant_id = $1 AND commit_order >= $2)
       + (SELECT count(*) FROM audit_events WHERE tenant_id = $1 AND commit_order >= $2) AS rows`,
    [tenantId, Math.max(sealedTo, endOrder)],
  )
  result.unsealed = open?.rows ?? 0
  for (const { id } of await readEntries(tx, { from: endOrder, to: Math.max(sealedTo, endOrder), tenantId })) {
    const text = `${id} lies behind the last block, where everything is sealed`
    result.findings.push({ kind: 'inserted', seq: result.lastSeq, id, text })
  }
}

/** The last block whose rows have left the log by retention; 0 when none have. */
async function retiredThrough(tx: Queryable, tenantId: string): Promise<number> {
  const [row] = await tx.query<Row & { seq: number | null }>(
    `SELECT max((data->>'through_block')::bigint) AS seq FROM audit_events WHERE tenant_id = $1 AND action = 'retention'`,
    [tenantId],
  )
  return row?.seq ?? 0
}

function readBlocks(tx: Queryable, tenantId: string, afterSeq: number, limit: number): Promise<Block[]> {
  return tx.query<Row & Block>(
    `SELECT ${blockColumns} FROM audit_blocks WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3`,
    [tenantId, afterSeq, limit],
  )
}
