/** Turns a job into bytes and back. `decode` throws when the bytes are not such a job. */
export interface JobCodec<T> {
  encode(job: T): Uint8Array
  decode(body: Uint8Array): T
  /** What a dead letter keeps of a body, which may be of any kind; the body as it is when there is no such function. */
  bare?(body: Uint8Array): Uint8Array
}

/** The version, `v`, of the bodies this Forebay reads; it goes up when an older one could not read a body rightly. */
const versionRead = 1

/** Thrown by `decode` for a body of a version that came after this program; the message says which. */
export class NewerVersionError extends Error {
  constructor(version: number) {
    super(`made by a newer Forebay: version ${version}; this one reads ${versionRead}`)
    this.name = 'NewerVersionError'
  }
}

/**
 * JSON in UTF-8, checked on the way in by a schema (any zod schema fits). Throws NewerVersionError for a newer `v`.
 * `bare` answers what a dead letter keeps of a job, whose JSON may be of any kind.
 */
export function makeJsonCodec<T>(schema: { parse(value: unknown): T }, bare?: (value: unknown) => object): JobCodec<T> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  return {
    // By Buffer: a TextEncoder allocates memory of its own for each, however small.
    encode: (job) => Buffer.from(JSON.stringify(job)),
    decode(body) {
      const value: unknown = JSON.parse(decoder.decode(body))
      if (typeof value === 'object' && value !== null && 'v' in value && typeof value.v === 'number') {
        if (value.v > versionRead) throw new NewerVersionError(value.v)
      }
      return schema.parse(value)
    },
    ...(bare ? { bare: (body: Uint8Array) => Buffer.from(JSON.stringify(bare(jsonOf(body)))) } : {}),
  }
}

function jsonOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body))
  } catch {
    return undefined
  }
}
