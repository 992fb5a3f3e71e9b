/** Counts the input's custom_ids that no result holds, and those that the results hold more than once. */
export function compareLines(options: { input: string; results: readonly string[] }): {
  lost: number
  doubled: number
} {
  const ids = (text: string) =>
    text
      .split('\n')
      .filter(Boolean)
      .map((line) => String(JSON.parse(line).custom_id))
  const seen = new Map<string, number>()
  for (const id of options.results.flatMap(ids)) seen.set(id, (seen.get(id) ?? 0) + 1)
  const sent = ids(options.input)
  return {
    lost: sent.filter((id) => !seen.has(id)).length,
    doubled: [...seen.values()].filter((count) => count > 1).length,
  }
}
