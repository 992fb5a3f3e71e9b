import { normalised } from '@forebay/semantic-cache'

// What embeddings of one language and subject vary by, about; the rest is noise.
const latents = 24
const noise = 1.5

/** Vectors as embeddings are: not anywhere in all dimensions, which no index could search, but near a plane of few. */
export function makeVectors(random: (below: number) => number, dimensions: number) {
  const gauss = () => {
    const [a, b] = [(random(2 ** 30) + 1) / 2 ** 30, random(2 ** 30) / 2 ** 30]
    return Math.sqrt(-2 * Math.log(a)) * Math.cos(2 * Math.PI * b)
  }
  const plane = Array.from({ length: latents }, () => Float32Array.from({ length: dimensions }, gauss))
  return {
    any(): Float32Array {
      const vector = Float32Array.from({ length: dimensions }, () => gauss() * noise)
      for (const axis of plane) {
        const at = gauss()
        for (let i = 0; i < dimensions; i++) vector[i] = (vector[i] ?? 0) + at * (axis[i] ?? 0)
      }
      return normalised(vector)
    },
    /** One whose cosine with the given is about 0.97, as of a paraphrase. */
    near(vector: Float32Array): Float32Array {
      const away = normalised(Float32Array.from({ length: dimensions }, gauss))
      return normalised(vector.map((value, i) => value + 0.25 * (away[i] ?? 0)))
    },
  }
}
