import { hashString, mix } from '@forebay/engine-model'

/**
 * A unit vector for a text. Each lower-cased word adds its own pseudo-random direction, so equal texts have equal
 * vectors and texts that share words lie closer together than texts that do not.
 */
export function embed(text: string, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions)
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  for (const word of words.length > 0 ? words : ['']) {
    const seed = hashString(word)
    for (let i = 0; i < dimensions; i++) vector[i] = (vector[i] ?? 0) + (mix(seed, i + 1) / 2 ** 31 + 1e-6)
  }
  let sum = 0
  for (const x of vector) sum += x * x
  const norm = Math.sqrt(sum)
  return vector.map((x) => x / norm)
}
