const gram = 4
const wordsMin = 16
// A model that got stuck repeats itself at the end.
const charactersMax = 32_768

// Used again for every answer, so that measuring leaves nothing to collect: one answer is measured at a time.
const words = new Int32Array(charactersMax)
const seen = new Int32Array(2 * charactersMax)

/**
 * How much a text repeats itself: the share of its runs of four words that stood in it before, from 0 to 1. Prose is
 * near 0, a model caught in a loop near 1. Null for a text of less than 16 words, of which it says nothing. Looks at
 * the last 32,768 characters.
 */
export function repetitionOf(text: string): number | null {
  const count = hashWords(text)
  if (count < wordsMin) return null
  const total = count - gram + 1
  return 1 - countDistinct(total) / total
}

/** How many different runs begin at the first so many words: a hash table with room for twice as many. */
function countDistinct(total: number): number {
  const mask = (1 << (32 - Math.clz32(2 * total - 1))) - 1
  seen.fill(0, 0, mask + 1)
  let distinct = 0
  for (let i = 0; i < total; i++) {
    let hash = words[i] as number
    for (let at = i + 1; at < i + gram; at++) hash = Math.imul(hash, 0x01000193) ^ (words[at] as number)
    // Of its upper half, too: what is multiplied moves upwards. 0 is an empty place.
    hash = (hash ^ (hash >>> 15)) | 0 || 1
    let place = hash & mask
    while (seen[place] !== 0 && seen[place] !== hash) place = (place + 1) & mask
    if (seen[place] === hash) continue
    seen[place] = hash
    distinct++
  }
  return distinct
}

/** Puts a number for each word into `words`, and answers how many: by hand, for this is done for every answer. */
function hashWords(text: string): number {
  let count = 0
  let hash = start
  for (let i = Math.max(0, text.length - charactersMax); i < text.length; i++) {
    const code = text.charCodeAt(i)
    const letter = code < 128 ? (letters[code] as number) : letterOf(code)
    if (letter > 0) {
      hash = Math.imul(hash, 0x01000193) ^ letter
      continue
    }
    if (hash !== start) words[count++] = hash
    hash = start
    if (letter < 0) words[count++] = Math.imul(code, 0x01000193)
  }
  if (hash !== start) words[count++] = hash
  return count
}

const start = 0x11c9dc5

// Letters and digits of ASCII, capitals as small letters; 0 stands between words.
const letters = Uint8Array.from({ length: 128 }, (_, code) => {
  if (code >= 65 && code <= 90) return code + 32
  return (code >= 97 && code <= 122) || (code >= 48 && code <= 57) ? code : 0
})

/** The letter, 0 for what stands between words, -1 for a word by itself: Thai and what lies from the CJK radicals on, which set no spaces. */
function letterOf(code: number): number {
  if (code >= 0x2e80) return code >= 0x3000 && code <= 0x303f ? 0 : -1
  if (code < 0xc0 || (code >= 0x2000 && code < 0x2c00)) return 0
  return code >= 0x0e00 && code < 0x0e80 ? -1 : code
}
