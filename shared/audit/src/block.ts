import { createHash } from 'node:crypto'
import { encodingVersion } from './entries.ts'

/** A block of a tenant's chain as stored. */
export interface Block {
  tenantId: string
  /** From 1, without gaps. */
  seq: number
  /** The range of the order it covers: from where the block before ended, up to `toOrder`, exclusive. */
  fromOrder: number
  toOrder: number
  entries: number
  lastBorn: string
  entriesHash: Buffer
  /** 32 bytes per entry; null once retention removed them. */
  entryHashes: Buffer | null
  prevHash: Buffer
  hash: Buffer
}

/** What the first block names as the one before it. */
export const noHash = Buffer.alloc(32)

/** The hash over the hashes of a block's entries. */
export function hashOfEntries(entryHashes: Buffer): Buffer {
  return createHash('sha256').update(entryHashes).digest()
}

/** A block's own hash, which the next one holds. */
export function hashOfBlock(block: Omit<Block, 'hash' | 'entryHashes'>): Buffer {
  const fields = [
    `forebay audit block ${encodingVersion}`,
    block.tenantId,
    block.seq,
    block.fromOrder,
    block.toOrder,
    block.entries,
    block.lastBorn,
    block.entriesHash.toString('hex'),
    block.prevHash.toString('hex'),
  ]
  return createHash('sha256').update(JSON.stringify(fields)).digest()
}

/** The columns of a block, for `SELECT … FROM audit_blocks`. */
export const blockColumns = `tenant_id AS "tenantId", seq, from_order AS "fromOrder", to_order AS "toOrder", entries,
  last_born::text AS "lastBorn", entries_hash AS "entriesHash", entry_hashes AS "entryHashes", prev_hash AS "prevHash", hash`
