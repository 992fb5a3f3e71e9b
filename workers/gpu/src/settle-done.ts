import { backoffMs, type Clock, describeError, type Logger } from '@forebay/kernel'
import type { JobReceiver, LeasedJob } from '@forebay/queue-core'

/** Settles a job as done, trying until the broker accepts it or its lease is lost; then it comes again. */
export async function settleDone<T>(options: {
  receiver: Pick<JobReceiver<T>, 'settle'>
  leased: LeasedJob<T>
  clock: Clock
  logger: Logger
}): Promise<void> {
  const { clock, leased, logger, receiver } = options
  for (let tries = 1; ; tries++) {
    try {
      return await receiver.settle(leased, { kind: 'done' })
    } catch (err) {
      const retryMs = backoffMs(tries, { firstMs: 100, maxMs: 5_000 })
      logger.warn({ jobId: leased.id, retryMs, error: describeError(err) }, 'job could not be settled')
      await clock.sleep(retryMs, leased.lost).catch(() => undefined)
      if (leased.lost.aborted) return
    }
  }
}
