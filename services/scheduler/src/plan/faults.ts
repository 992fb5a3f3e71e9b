import type { BatchError } from '@forebay/contracts'

/** Faults of one input file, in the order found, at most `max` of them kept. */
export class FaultList {
  readonly #max: number
  readonly #kept: BatchError[] = []
  #count = 0

  constructor(options: { max: number }) {
    this.#max = options.max
  }

  get count(): number {
    return this.#count
  }

  add(line: number | null, code: string, param: string | null, message: string): void {
    this.#count++
    if (this.#kept.length < this.#max) this.#kept.push({ code, message, param, line })
  }

  /** The faults kept, and after them one that says how many more there are. */
  list(): BatchError[] {
    const more = this.#count - this.#kept.length
    if (more === 0) return this.#kept
    const message = `The file has ${more} more faults, which are not listed.`
    return [...this.#kept, { code: 'too_many_errors', message, param: null, line: null }]
  }
}

/** A user's text as it may stand in a message and in the database: shortened, without NUL and lone surrogates. */
export function quotable(text: string): string {
  const short = text.length > 128 ? `${text.slice(0, 128)}…` : text
  // The database takes neither of the two in any text.
  return short.replaceAll('\0', '\ufffd').replace(/\p{Surrogate}/gu, '\ufffd')
}

/** "a string", "an array" and so on, as OpenAI's messages name the types of JSON. */
export function jsonType(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return 'an object'
  return typeof value === 'number' && Number.isInteger(value) ? 'an integer' : `a ${typeof value}`
}
