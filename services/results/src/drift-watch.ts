import { type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import { ledgerDrift } from '@forebay/ledger'
import type { Database } from '@forebay/store'
import type { ResultsMetrics } from './metrics.ts'

const everyMs = 6 * 3_600_000

/** Recomputes the ledger every six hours, first when as much has passed, and tells the drift in a metric and, if any, the log. */
export function startDriftWatch(options: {
  db: Database
  clock: Clock
  logger: Logger
  metrics: Pick<ResultsMetrics, 'drift'>
}): Running {
  const { clock, db, logger, metrics } = options
  const stopping = new AbortController()
  let running: Promise<void> | undefined
  const look = async () => {
    const { driftNano, entries, unmatched } = await ledgerDrift(db, stopping.signal)
    metrics.drift(driftNano, unmatched)
    if (driftNano === 0 && unmatched === 0) logger.info({ entries }, 'ledger recomputed, no drift')
    else logger.error({ entries, driftNano, unmatched }, 'the ledger differs from raw usage and the price book')
  }
  const stopTimer = clock.every(everyMs, () => {
    running ??= look()
      .catch((err: unknown) => {
        if (!stopping.signal.aborted) logger.warn({ reason: describeError(err) }, 'ledger could not be recomputed')
      })
      .finally(() => {
        running = undefined
      })
  })
  return {
    stop: async () => {
      stopTimer()
      stopping.abort()
      await running
    },
  }
}
