import { prefixCuts } from './prompt-text.ts'

/** The prefix hashes of a batch's requests, shortest first: 4 bytes a request, and 4 for each cut its prompt reaches. */
export class PrefixTable {
  /** Hashes of all requests, one after the other. */
  #hashes = new Uint32Array(4096)
  /** Where each request's hashes begin; one more than there are requests. */
  #starts = new Uint32Array(1024)
  #count = 0

  get count(): number {
    return this.#count
  }

  /** Adds the next request, of whose hashes the zeros are none. */
  add(hashes: Uint32Array): void {
    const from = this.#starts[this.#count] ?? 0
    if (from + prefixCuts.length > this.#hashes.length) this.#hashes = larger(this.#hashes)
    if (this.#count + 2 > this.#starts.length) this.#starts = larger(this.#starts)
    let end = from
    for (const hash of hashes) if (hash !== 0) this.#hashes[end++] = hash
    this.#starts[++this.#count] = end
  }

  /** A request's hash at a level, or what was written over it; 0 when its prompt is shorter. */
  get(index: number, level: number): number {
    const at = (this.#starts[index] ?? 0) + level
    return at < (this.#starts[index + 1] ?? 0) ? (this.#hashes[at] ?? 0) : 0
  }

  /** Writes over a hash that is there. */
  set(index: number, level: number, value: number): void {
    this.#hashes[(this.#starts[index] ?? 0) + level] = value
  }
}

function larger(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const grown = new Uint32Array(array.length * 2)
  grown.set(array)
  return grown
}
