import { backoffMs, type Clock, describeError, isForebayError, type Logger } from '@forebay/kernel'

/**
 * Opens what this process cannot work without, again and again while it cannot be reached, and says each time what it
 * waits for and which setting names it. Any other failure, as a wrong URL, rejects at once: waiting would not help.
 */
export async function untilReachable<T>(options: {
  open: () => Promise<T>
  /** What is waited for, such as "the broker of pool eu". */
  what: string
  /** Where its address is set, such as QUEUE_URL; the address itself may hold a password and is not said. */
  setting: string
  clock: Clock
  logger: Logger
  signal?: AbortSignal
}): Promise<T> {
  const { clock, logger, open, setting, what } = options
  for (let tries = 1; ; tries++) {
    try {
      return await open()
    } catch (err) {
      if (!isForebayError(err) || err.code !== 'unavailable') throw err
      const retryMs = backoffMs(tries, { firstMs: 500, maxMs: 15_000 })
      logger.warn({ what, setting, tries, retryMs, reason: describeError(err) }, 'waiting for what cannot be reached')
      await clock.sleep(retryMs, options.signal)
    }
  }
}
