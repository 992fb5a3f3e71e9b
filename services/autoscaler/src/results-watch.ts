import type { Clock } from '@forebay/kernel'

// Results are read within a second where anybody reads them.
const silentMs = 20_000

/** Tells whether what a pool's workers finish is being counted. */
export interface ResultsWatch {
  /** What is wrong with the counting of a pool's results, with the numbers; undefined: nothing that is known. */
  trouble(pool: string, seen: { waiting: number; committed: boolean }): string | undefined
}

/**
 * Watches that result events which wait are also committed: live traffic and the rest of batches are measured from what
 * was committed, so that without it a busy pool would look idle and be taken away.
 */
export function makeResultsWatch(options: { clock: Clock }): ResultsWatch {
  const { clock } = options
  const silentSince = new Map<string, number>()
  return {
    trouble(pool, { committed, waiting }) {
      if (committed || waiting === 0) {
        silentSince.delete(pool)
        return undefined
      }
      const sinceMs = silentSince.get(pool) ?? clock.now()
      silentSince.set(pool, sinceMs)
      const forMs = clock.now() - sinceMs
      if (forMs < silentMs) return undefined
      return `has ${waiting} result events waiting and none was counted for ${Math.round(forMs / 1000)} s, so that its load is not known (is the results service running?)`
    },
  }
}
