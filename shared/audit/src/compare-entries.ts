/** How the entries of a block differ from those that were sealed. */
export type Difference =
  | { kind: 'changed' | 'inserted'; id: string; position: number }
  | { kind: 'removed'; after: string | null; position: number }

/**
 * Compares the entries that are there with the hashes that were sealed, in order, and tells every difference. What
 * stands at a place where the sealed one is missing is taken for that one, changed.
 */
export function compareEntries(
  sealed: readonly string[],
  found: readonly { id: string; hash: Buffer }[],
): Difference[] {
  const hashes = found.map(({ hash }) => hash.toString('hex'))
  const known = new Set(sealed)
  const present = new Set(hashes)
  const differences: Difference[] = []
  let [at, next] = [0, 0]
  while (at < sealed.length || next < found.length) {
    const [expected, actual, entry] = [sealed[at], hashes[next], found[next]]
    if (expected !== undefined && expected === actual) {
      at++
      next++
    } else if (entry && expected !== undefined && !known.has(actual ?? '') && !present.has(expected)) {
      differences.push({ kind: 'changed', id: entry.id, position: at + 1 })
      at++
      next++
    } else if (entry && (expected === undefined || !known.has(actual ?? '') || present.has(expected))) {
      // Also one that is out of its place: the sealed order has another one here that is still to come.
      differences.push({ kind: 'inserted', id: entry.id, position: at + 1 })
      next++
    } else {
      differences.push({ kind: 'removed', after: found[next - 1]?.id ?? null, position: at + 1 })
      at++
    }
  }
  return differences
}
