import { ForebayError, type Running } from '@forebay/kernel'
import { Pool } from 'undici'
import { z } from 'zod'

/** Turns texts into unit vectors. */
export interface Embedder extends Running {
  /** A vector per text, in order. Rejects with `unavailable` when the endpoint fails or takes too long. */
  embed(texts: readonly string[]): Promise<Float32Array[]>
}

const answerSchema = z.object({
  data: z.array(z.object({ index: z.number().int().nonnegative(), embedding: z.array(z.number()).min(1) })),
})

/** An embedder over an OpenAI-compatible endpoint; `url` is its base, with or without /v1. */
export function makeEmbedder(options: {
  url: string
  model: string
  apiKey?: string | undefined
  timeoutMs: number
}): Embedder {
  const { origin, pathname } = new URL(options.url)
  const path = `${pathname.replace(/\/+$/, '').replace(/\/v1$/, '')}/v1/embeddings`
  const pool = new Pool(origin, { connections: 16, headersTimeout: options.timeoutMs, bodyTimeout: options.timeoutMs })
  const headers = {
    'content-type': 'application/json',
    ...(options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` }),
  }
  const ask = async (texts: readonly string[]): Promise<Float32Array[]> => {
    const body = JSON.stringify({ model: options.model, input: texts, encoding_format: 'float' })
    const signal = AbortSignal.timeout(options.timeoutMs)
    const response = await pool.request({ path, method: 'POST', headers, body, signal })
    if (response.statusCode !== 200) {
      await response.body.dump()
      throw new Error(`status ${response.statusCode}`)
    }
    const { data } = answerSchema.parse(await response.body.json())
    const vectors = texts.map((_, at) => data.find(({ index }) => index === at)?.embedding)
    return vectors.map((vector) => {
      if (!vector) throw new Error('the endpoint answered for fewer texts than it was asked')
      return normalised(vector)
    })
  }
  let stopped: Promise<void> | undefined
  return {
    embed: (texts) =>
      ask(texts).catch((err: unknown) => {
        // The reason may quote a text, so it is kept out of the message.
        throw new ForebayError('unavailable', 'The embeddings endpoint cannot be used right now.', { cause: err })
      }),
    stop: () => (stopped ??= pool.destroy()),
  }
}

/** The vector at length 1. Throws for one without a direction. */
export function normalised(values: readonly number[] | Float32Array): Float32Array {
  const vector = Float32Array.from(values)
  let sum = 0
  for (const x of vector) sum += x * x
  if (!(sum > 0) || !Number.isFinite(sum)) throw new RangeError('an embedding without a direction')
  const length = Math.sqrt(sum)
  for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] ?? 0) / length
  return vector
}

/** Cosine of two unit vectors; 0 when they are of different spaces. */
export function similarityOf(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return 0
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0)
  return sum
}
