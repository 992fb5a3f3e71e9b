import type { Clock } from '@forebay/kernel'

/** Keeps those who share it apart in time. */
export interface Turns {
  /** Resolves when it is the caller's turn: at once, or so long after the last one's. Rejects when `signal` aborts first. */
  take(signal: AbortSignal): Promise<void>
  /** There is much to do: the next turn may be at once. */
  hurry(): void
}

/** Turns that are `gapMs` apart, in the order in which they were asked for. */
export function makeTurns({ clock, gapMs }: { clock: Clock; gapMs: number }): Turns {
  let nextMs = 0
  return {
    async take(signal) {
      const nowMs = clock.now()
      const turnMs = Math.max(nowMs, nextMs)
      nextMs = turnMs + gapMs
      if (turnMs > nowMs) await clock.sleep(turnMs - nowMs, signal)
    },
    hurry: () => {
      nextMs = Math.min(nextMs, clock.now())
    },
  }
}
