const shown = 3

/**
 * The names nearest to one that was mistyped, three at most, the nearest first: those that it is the beginning or a part
 * of, or that are a part of it (`A100` of `A100-80GB`), then by how many letters would have to change.
 */
export function nearestNames(name: string, known: readonly string[]): string[] {
  const plain = (text: string) =>
    text
      .toLowerCase()
      .replace(/^nvidia/, '')
      .replace(/[^a-z0-9]/g, '')
  const asked = plain(name)
  const ranked = known.map((each) => {
    const other = plain(each)
    const within = asked !== '' && (other.startsWith(asked) || asked.startsWith(other))
    return { each, distance: within ? 0 : editDistance(asked, other) }
  })
  return ranked
    .sort((a, b) => a.distance - b.distance)
    .slice(0, shown)
    .map(({ each }) => each)
}

/** How many letters to put in, take out or replace to get from one text to the other. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i)
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1]
    for (const [j, other] of [...to].entries()) {
      const replaced = (row[j] ?? 0) + (letter === other ? 0 : 1)
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}
