const words = `the a this that each every one some most other
water river stream pool gate wheel field harbour bridge road market village garden window letter story question answer
morning evening winter summer week year team plan method result reason measure record report detail example pattern
small quiet steady early clear simple useful careful common recent narrow wide open warm bright heavy plain local
holds carries moves follows turns keeps shows gives takes finds makes needs helps leaves meets draws counts opens
slowly often again together soon still nearly always rarely mostly
and but while because when where before after under over near through between along with without from into
people workers readers builders farmers sailors friends children numbers pages stones trees hills boats tools lines
grows changes begins ends returns improves depends matters works explains supports connects follows settles`
  .split(/\s+/)
  .filter(Boolean)

/** One token of prose: a word with the space and the full stop that belong to it. */
export function makeWordStream(random: () => number): () => string {
  let left = 0
  let first = true
  return () => {
    const starts = left === 0
    if (starts) left = 5 + Math.floor(random() * 9)
    left--
    const word = words[Math.floor(random() * words.length)] ?? 'water'
    const shown = starts ? word.charAt(0).toUpperCase() + word.slice(1) : word
    const piece = `${first ? '' : ' '}${shown}${left === 0 ? '.' : ''}`
    first = false
    return piece
  }
}
