/**
 * The engine's KV memory, counted in blocks. A block is anonymous (owned by one sequence), held (its content hash is
 * known, shared by `refs` sequences) or idle (hash known, owned by nobody: still a cache hit, evicted oldest first).
 * Anonymous blocks are only counted, which keeps a decode step free of allocation.
 */
export class KvBlocks {
  readonly total: number
  #anonymous = 0
  #held = new Map<number, number>()
  #idle = new Set<number>()
  // One live iterator: starting at the front each time would walk over the holes that deletions leave behind.
  #oldest: Iterator<number> = this.#idle.values()

  constructor(total: number) {
    this.total = total
  }

  /** Blocks that can be had now, idle ones included. */
  get free(): number {
    return this.total - this.#anonymous - this.#held.size
  }

  /** Share of blocks owned by sequences, 0 to 1. */
  get usage(): number {
    return this.total === 0 ? 0 : 1 - this.free / this.total
  }

  /** How many of the first `max` hashes are cached, without a gap. */
  match(hashes: readonly number[], max: number): number {
    let count = 0
    while (count < max) {
      const hash = hashes[count]
      if (hash === undefined || !(this.#held.has(hash) || this.#idle.has(hash))) break
      count++
    }
    return count
  }

  /** How many of the first `count` hashes are idle: taking those uses up free blocks, taking held ones does not. */
  idleAmong(hashes: readonly number[], count: number): number {
    let idle = 0
    for (let i = 0; i < count; i++) if (this.#idle.has(hashes[i] ?? Number.NaN)) idle++
    return idle
  }

  /** Takes a share in a cached block; `match` must have found it. */
  hold(hash: number): void {
    this.#idle.delete(hash)
    this.#held.set(hash, (this.#held.get(hash) ?? 0) + 1)
  }

  /** Takes `count` anonymous blocks, evicting idle ones if need be; false, and nothing taken, when they do not fit. */
  allocate(count: number): boolean {
    if (count > this.free) return false
    this.#anonymous += count
    while (this.#anonymous + this.#held.size + this.#idle.size > this.total) this.#evictOldest()
    return true
  }

  /** Turns one anonymous block into a held one; false when the hash is cached already, and the block stays a duplicate. */
  publish(hash: number): boolean {
    if (this.#held.has(hash) || this.#idle.has(hash)) return false
    this.#anonymous--
    this.#held.set(hash, 1)
    return true
  }

  /** Gives blocks back. Of a chain the tail goes idle first and so is evicted first: a prefix outlives what follows it. */
  release(held: readonly number[], anonymous: number): void {
    this.#anonymous -= anonymous
    for (let i = held.length - 1; i >= 0; i--) {
      const hash = held[i]
      if (hash === undefined) continue
      const refs = (this.#held.get(hash) ?? 0) - 1
      if (refs > 0) this.#held.set(hash, refs)
      else {
        this.#held.delete(hash)
        this.#idle.add(hash)
      }
    }
  }

  #evictOldest(): void {
    let next = this.#oldest.next()
    if (next.done) {
      this.#oldest = this.#idle.values()
      next = this.#oldest.next()
    }
    this.#idle.delete(next.value)
  }
}
