import { mix } from '@forebay/engine-model'

/** A seeded stream of numbers in [0, 1): equal seeds give equal streams. */
export function makeRandom(seed: number): () => number {
  let counter = seed | 0
  return () => {
    counter = (counter + 0x6d2b79f5) | 0
    return (mix(mix(counter, 0x1b873593), seed) >>> 0) / 2 ** 32
  }
}
