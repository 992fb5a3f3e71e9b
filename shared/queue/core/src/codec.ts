/** Turns a job into bytes and back. `decode` throws when the bytes are not such a job. */
export interface JobCodec<T> {
  encode(job: T): Uint8Array
  decode(body: Uint8Array): T
}

/** JSON in UTF-8, checked on the way in by a schema (any zod schema fits). */
export function makeJsonCodec<T>(schema: { parse(value: unknown): T }): JobCodec<T> {
  const encoder = new TextEncoder()
  const decoder = new TextDecoder('utf-8', { fatal: true })
  return {
    encode: (job) => encoder.encode(JSON.stringify(job)),
    decode: (body) => schema.parse(JSON.parse(decoder.decode(body))),
  }
}
