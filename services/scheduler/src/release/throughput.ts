// How far back the measured rate remembers.
const memoryMs = 30_000

/** Estimated tokens of batch work done per second in each lane, measured from the progress of its batches. */
export class Throughput {
  readonly #seen = new Map<string, number>()
  readonly #rates = new Map<string, number>()
  #lastMs: number | undefined

  /** Takes the batches' progress at a time; a lane's rate stays as it is while nothing of it is under way. */
  observe(
    nowMs: number,
    batches: readonly { id: string; lane: string; total: number; ended: number; estTokens: number }[],
    busy: ReadonlySet<string>,
  ): void {
    const passedMs = this.#lastMs === undefined ? 0 : nowMs - this.#lastMs
    if (this.#lastMs !== undefined && passedMs < 250) return
    const gains = new Map<string, number>()
    const before = new Map(this.#seen)
    this.#seen.clear()
    for (const batch of batches) {
      const tokens = batch.total === 0 ? 0 : (batch.estTokens * batch.ended) / batch.total
      this.#seen.set(batch.id, tokens)
      const gain = Math.max(0, tokens - (before.get(batch.id) ?? tokens))
      gains.set(batch.lane, (gains.get(batch.lane) ?? 0) + gain)
    }
    this.#lastMs = nowMs
    if (passedMs > 0) this.#learn(gains, busy, passedMs)
  }

  /** Tokens per second; 0 until something was measured. */
  rate(lane: string): number {
    return this.#rates.get(lane) ?? 0
  }

  #learn(gains: ReadonlyMap<string, number>, busy: ReadonlySet<string>, passedMs: number): void {
    const share = 1 - Math.exp(-passedMs / memoryMs)
    for (const [lane, gain] of gains) {
      const known = this.#rates.get(lane)
      if (gain === 0 && !busy.has(lane)) continue
      const now = (gain * 1000) / passedMs
      if (known === undefined) {
        if (gain > 0) this.#rates.set(lane, now)
      } else this.#rates.set(lane, known + share * (now - known))
    }
  }
}
