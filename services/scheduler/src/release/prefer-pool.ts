/** A chunk that may be released, as far as its prefixes matter. */
export interface ContinuingChunk {
  index: number
  /** Whether it goes on with the prefix group that the chunk before it ended with. */
  continues: boolean
  /** Where the chunk before it went; null while that was not released. */
  pool: string | null
}

/**
 * The chunks of a batch in the order in which a pool should get them: first those that go on with a prefix group which it
 * has in its cache, then those that begin a new one, then those whose group another pool has, so that no pool stands
 * idle for it. `chunks` are in the order of the plan, and stay so within each of the three.
 */
export function preferPool<C extends ContinuingChunk>(chunks: readonly C[], pool: string): C[] {
  const ranked: [C[], C[], C[]] = [[], [], []]
  const rankOf = new Map<number, 0 | 1 | 2>()
  for (const chunk of chunks) {
    const rank = !chunk.continues ? 1 : (rankOf.get(chunk.index - 1) ?? (chunk.pool === pool ? 0 : 2))
    rankOf.set(chunk.index, rank)
    ranked[rank].push(chunk)
  }
  return ranked.flat()
}
