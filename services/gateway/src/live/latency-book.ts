import { LRUCache } from 'lru-cache'

const newShare = 0.2
const keptMs = 60_000

interface Measure {
  ms: number
  atMs: number
}

/** How long pools take to begin their answers: a moving mean by pool, model and whether it streams, forgotten after a minute of silence. */
export class LatencyBook {
  readonly #measures = new LRUCache<string, Measure>({ max: 10_000 })

  /** Takes one answer's time until its first byte, in milliseconds. */
  observe(of: { pool: string; model: string; stream: boolean }, ms: number, nowMs: number): void {
    const before = this.read(of, nowMs)
    this.#measures.set(key(of), { ms: before === undefined ? ms : before + newShare * (ms - before), atMs: nowMs })
  }

  /** The mean, in milliseconds; undefined when nothing was measured lately. */
  read(of: { pool: string; model: string; stream: boolean }, nowMs: number): number | undefined {
    const measure = this.#measures.get(key(of))
    return measure && nowMs - measure.atMs <= keptMs ? measure.ms : undefined
  }
}

function key(of: { pool: string; model: string; stream: boolean }): string {
  return `${of.pool}\n${of.model}\n${of.stream}`
}
