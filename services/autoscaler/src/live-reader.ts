import type { Queryable, Row } from '@forebay/store'
import { type LiveWork, readLiveWork } from './read-work.ts'

// Results are committed in short transactions: what ended longer ago than this can be seen.
const lagMs = 2_000
const windowMsMax = 60_000

/** Live traffic as the policy wants it: samples that do not overlap. */
export interface LiveReader {
  /** The traffic by pool and model, and when its latest sample ended, by the database. */
  read(db: Queryable): Promise<{ sampledAtMs: number; live: LiveWork[] }>
}

/**
 * Reads what live requests came to since the sample before, once that is `sampleMs` ago, until then the same sample
 * again. A moving mean in its place would hide the noise that the policy tells a rise from. The first is of a minute.
 */
export function makeLiveReader(options: { sampleMs: number }): LiveReader {
  let window: { sinceMs: number; untilMs: number } | undefined
  return {
    async read(db) {
      const [row] = await db.query<{ nowMs: number } & Row>(
        `SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS "nowMs"`,
      )
      const untilMs = (row?.nowMs ?? 0) - lagMs
      if (window === undefined || untilMs - window.untilMs >= options.sampleMs) {
        window = { sinceMs: Math.max(window?.untilMs ?? 0, untilMs - windowMsMax), untilMs }
      }
      return { sampledAtMs: window.untilMs, live: await readLiveWork(db, window) }
    },
  }
}
