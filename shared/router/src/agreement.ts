const wordsAlike = 0.6

/**
 * True when two answers say the same, as far as can be told without a model: equal but for case and punctuation, equal
 * JSON, or with the same numbers and most words in common. It errs towards telling apart: paraphrases count as other answers.
 */
export function answersAgree(a: string, b: string): boolean {
  const [left, right] = [wordsOf(a), wordsOf(b)]
  if (left.join(' ') === right.join(' ')) return true
  const [jsonA, jsonB] = [jsonOf(a), jsonOf(b)]
  if (jsonA !== undefined || jsonB !== undefined) return jsonA === jsonB
  const numbers = (words: readonly string[]) => [...new Set(words.filter((word) => /\d/.test(word)))].sort().join(' ')
  if (numbers(left) !== numbers(right)) return false
  const [inLeft, inRight] = [new Set(left), new Set(right)]
  const shared = [...inLeft].filter((word) => inRight.has(word)).length
  return (2 * shared) / Math.max(1, inLeft.size + inRight.size) >= wordsAlike
}

function wordsOf(text: string): string[] {
  return (
    text
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? []
  )
}

/** The text of a JSON object or list with its members in order; undefined for all else. */
function jsonOf(text: string): string | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined
  try {
    return JSON.stringify(JSON.parse(text), (_, value: unknown) =>
      value !== null && typeof value === 'object' && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
        : value,
    )
  } catch {
    return undefined
  }
}
