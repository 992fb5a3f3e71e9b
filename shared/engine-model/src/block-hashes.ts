/** Mixes one 32-bit value into a 32-bit state. */
export function mix(state: number, value: number): number {
  let x = Math.imul(state ^ value, 0x85ebca6b)
  x ^= x >>> 13
  x = Math.imul(x, 0xc2b2ae35)
  return x ^ (x >>> 16)
}

/** A 32-bit hash of a string's UTF-16 units. */
export function hashString(text: string): number {
  let state = 0x9e3779b9
  for (let i = 0; i < text.length; i++) state = mix(state, text.charCodeAt(i) + 1)
  return state >>> 0
}

/**
 * The hash chain of a prompt's full blocks: each hash stands for its block and all before it, and for the salt, so
 * equal hashes mean an equal prefix under an equal salt. 53 bits, which is ample for a simulator.
 */
export function hashBlocks(tokens: ArrayLike<number>, blockSize: number, salt = ''): number[] {
  const hashes: number[] = []
  let a = hashString(salt)
  let b = mix(a, 0x51ed270b)
  const full = tokens.length - (tokens.length % blockSize)
  for (let i = 0; i < full; i++) {
    const token = tokens[i] ?? 0
    a = mix(a, token)
    b = mix(b, token + 0x27d4eb2f)
    if ((i + 1) % blockSize === 0) hashes.push((a >>> 0) * 2 ** 21 + (b >>> 11))
  }
  return hashes
}

/** Block hashes for a simulation without text: every request given the same `group` shares a prefix of `tokens` tokens. */
export function groupBlockHashes(group: string, tokens: number, blockSize: number): number[] {
  return hashBlocks(new Uint8Array(tokens), blockSize, `group:${group}`)
}
