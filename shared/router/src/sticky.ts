import { createHash } from 'node:crypto'

/**
 * Pools in the order in which a key prefers them, by rendezvous hashing: the same for the same key everywhere, and a pool
 * that comes or goes moves only the keys that were or will be its own.
 */
export function rankSticky<C extends { readonly name: string }>(key: string, pools: readonly C[]): C[] {
  return pools
    .map((pool) => ({ pool, hash: createHash('sha256').update(`${key}\n${pool.name}`).digest().readUIntBE(0, 6) }))
    .sort((a, b) => b.hash - a.hash || (a.pool.name < b.pool.name ? -1 : 1))
    .map(({ pool }) => pool)
}
