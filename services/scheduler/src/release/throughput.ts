// How far back the measured rate remembers.
const memoryMs = 30_000
const learnEveryMs = 250

/** How far a released chunk is. */
export interface ChunkProgress {
  key: string
  batchId: string
  lane: string
  estTokens: number
  doneTokens: number
  attempt: number
  releasedAtMs: number
}

/** Estimated tokens of batch work done per second in each lane of each pool, measured from the progress of its chunks. */
export class Throughput {
  #seen = new Map<string, ChunkProgress>()
  #seenAtMs = Number.POSITIVE_INFINITY
  readonly #gains = new Map<string, number>()
  readonly #busy = new Set<string>()
  readonly #rates = new Map<string, number>()
  #learntAtMs: number | undefined

  /**
   * Takes all released chunks at a time; a lane's rate stays as it is while nothing of it is under way. A chunk that is
   * gone was finished in the meantime, unless its batch is gone too.
   */
  observe(nowMs: number, chunks: readonly ChunkProgress[], isOpen: (batchId: string) => boolean): void {
    const before = this.#seen
    this.#seen = new Map(chunks.map((chunk) => [chunk.key, chunk]))
    for (const chunk of chunks) {
      this.#busy.add(chunk.lane)
      const isNew = chunk.attempt === 1 && chunk.releasedAtMs >= this.#seenAtMs
      this.#gain(chunk.lane, chunk.doneTokens - (before.get(chunk.key)?.doneTokens ?? (isNew ? 0 : chunk.doneTokens)))
    }
    for (const [key, last] of before) {
      if (!this.#seen.has(key) && isOpen(last.batchId)) this.#gain(last.lane, last.estTokens - last.doneTokens)
    }
    this.#seenAtMs = nowMs
    this.#learntAtMs ??= nowMs
    if (nowMs - this.#learntAtMs >= learnEveryMs) this.#learn(nowMs - this.#learntAtMs, nowMs)
  }

  /** Tokens per second; 0 until something was measured. */
  rate(lane: string): number {
    return this.#rates.get(lane) ?? 0
  }

  #gain(lane: string, tokens: number): void {
    if (tokens > 0) this.#gains.set(lane, (this.#gains.get(lane) ?? 0) + tokens)
  }

  #learn(passedMs: number, nowMs: number): void {
    const share = 1 - Math.exp(-passedMs / memoryMs)
    for (const lane of new Set([...this.#busy, ...this.#gains.keys()])) {
      const now = ((this.#gains.get(lane) ?? 0) * 1000) / passedMs
      const known = this.#rates.get(lane)
      if (known !== undefined) this.#rates.set(lane, known + share * (now - known))
      else if (now > 0) this.#rates.set(lane, now)
    }
    this.#gains.clear()
    this.#busy.clear()
    this.#learntAtMs = nowMs
  }
}
