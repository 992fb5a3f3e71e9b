import type { Clock } from '@forebay/kernel'

/**
 * Gives work `limitMs` to settle, then aborts its signal. The signal never aborts afterwards, so a stream the work
 * answered with may be read as slowly as its reader likes.
 */
export async function untilAnswered<T>(options: {
  clock: Clock
  limitMs: number
  work: (signal: AbortSignal) => Promise<T>
}): Promise<T> {
  const controller = new AbortController()
  const cancel = options.clock.after(options.limitMs, () => controller.abort())
  try {
    return await options.work(controller.signal)
  } finally {
    cancel()
  }
}
