import type { Clock } from './clock.ts'

interface Timer {
  at: number
  order: number
  everyMs: number | undefined
  run: () => void
}

/** A clock that moves only when told to; `advance` runs due timers in order, letting promises settle between. */
export class ManualClock implements Clock {
  #now: number
  #order = 0
  #timers = new Set<Timer>()

  constructor(startMs = 1_700_000_000_000) {
    this.#now = startMs
  }

  now(): number {
    return this.#now
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const cancel = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
      const onAbort = () => {
        cancel()
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  after(ms: number, fn: () => void): () => void {
    return this.#add(ms, undefined, fn)
  }

  every(ms: number, fn: () => void): () => void {
    return this.#add(ms, ms, fn)
  }

  /** Moves time forward by `ms`, firing every timer that falls due on the way. */
  async advance(ms: number): Promise<void> {
    const target = this.#now + ms
    for (;;) {
      await settle()
      const next = this.#next()
      if (!next || next.at > target) break
      this.#now = next.at
      this.#timers.delete(next)
      if (next.everyMs !== undefined) this.#timers.add(Object.assign(next, { at: next.at + next.everyMs }))
      next.run()
    }
    this.#now = target
    await settle()
  }

  #add(ms: number, everyMs: number | undefined, run: () => void): () => void {
    const timer: Timer = { at: this.#now + Math.max(0, ms), order: this.#order++, everyMs, run }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  #next(): Timer | undefined {
    let best: Timer | undefined
    for (const t of this.#timers) {
      if (!best || t.at < best.at || (t.at === best.at && t.order < best.order)) best = t
    }
    return best
  }
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve))
