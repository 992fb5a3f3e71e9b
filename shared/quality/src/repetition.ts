const gram = 4
const wordsMin = 16
// A model that got stuck repeats itself at the end.
const charactersMax = 32_768

/**
 * How much a text repeats itself: the share of its runs of four words that stood in it before, from 0 to 1. Prose is
 * near 0, a model caught in a loop near 1. Null for a text of less than 16 words, of which it says nothing. Looks at
 * the last 32,768 characters.
 */
export function repetitionOf(text: string): number | null {
  const words = wordHashes(text)
  if (words.length < wordsMin) return null
  const seen = new Set<number>()
  const total = words.length - gram + 1
  for (let i = 0; i < total; i++) {
    let hash = 0
    for (let at = i; at < i + gram; at++) hash = (Math.imul(hash, 0x01000193) ^ (words[at] ?? 0)) | 0
    seen.add(hash & 0x3fffffff)
  }
  return 1 - seen.size / total
}

/** A number for each word, by hand: a regular expression takes several times as long, and this is done for every answer. */
function wordHashes(text: string): number[] {
  const words: number[] = []
  let hash = 0
  let within = false
  for (let i = Math.max(0, text.length - charactersMax); i < text.length; i++) {
    const code = text.charCodeAt(i)
    const kind = kindOf(code)
    if (kind === 'letter') {
      // Capitals of ASCII as small letters.
      hash = (Math.imul(within ? hash : 0x11c9dc5, 0x01000193) ^ (code >= 65 && code <= 90 ? code + 32 : code)) | 0
      within = true
      continue
    }
    if (within) words.push(hash)
    within = false
    if (kind === 'word') words.push(Math.imul(code, 0x01000193))
  }
  if (within) words.push(hash)
  return words
}

// Thai and what lies from the CJK radicals on, which set no spaces, count by the character.
function kindOf(code: number): 'letter' | 'word' | 'gap' {
  if (code < 128) {
    const isLetter = (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57)
    return isLetter ? 'letter' : 'gap'
  }
  if (code >= 0x2e80) return code >= 0x3000 && code <= 0x303f ? 'gap' : 'word'
  if (code < 0xc0 || (code >= 0x2000 && code < 0x2c00)) return 'gap'
  return code >= 0x0e00 && code < 0x0e80 ? 'word' : 'letter'
}
