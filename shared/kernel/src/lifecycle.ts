import { describeError, isForebayError } from './errors.ts'
import type { Logger } from './logger.ts'

/** What holds timers or connections. Both calls are idempotent; `stop` returns only when stopped. */
export interface Running {
  stop(): Promise<void>
}

/** Stops each in the order given, continuing past failures, and throws the first of them at the end. */
export async function stopAll(parts: readonly Running[]): Promise<void> {
  let failure: unknown
  for (const part of parts) {
    try {
      await part.stop()
    } catch (err) {
      failure ??= err
    }
  }
  if (failure !== undefined) throw failure
}

/**
 * Runs a process: starts it, stops it once on SIGTERM or SIGINT or when it asks for its end itself, exits 0 when the
 * drain ends cleanly and 1 when start, run or drain fails. A second signal exits at once.
 */
export async function runProcess(options: {
  logger: Logger
  /** `end` begins the drain as a signal would; safe to repeat. */
  start: (end: (why: string) => void) => Promise<Running>
  /** Where a person watches: gets, instead of the log, why the start failed. */
  tell?: (reason: string) => void
}): Promise<void> {
  const { logger } = options
  process.on('unhandledRejection', (err) => {
    logger.fatal({ err }, 'unhandled rejection')
    process.exit(1)
  })
  let stopping = false
  let signalled = false
  let running: Running | undefined
  const shutdown = (signal: string) => {
    // The first signal while it drains of its own accord only says the same.
    if (signalled) process.exit(130)
    signalled = true
    drain(signal)
  }
  const drain = (why: string) => {
    if (stopping) return
    stopping = true
    logger.info({ signal: why }, 'draining')
    if (!running) process.exit(0)
    running.stop().then(
      () => process.exit(0),
      (err: unknown) => {
        logger.error({ err }, 'drain failed')
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', () => shutdown('SIGTERM'))
  process.on('SIGINT', () => shutdown('SIGINT'))
  // A parent that started us over a channel and died, even by SIGKILL, must not leave us running.
  if (process.channel) process.on('disconnect', () => shutdown('parent gone'))
  try {
    let asked: string | undefined
    running = await options.start((why) => {
      asked = why
      if (running) drain(why)
    })
    // Asked for before there was anything to stop.
    if (asked !== undefined) drain(asked)
  } catch (err) {
    if (options.tell && isForebayError(err)) options.tell(err.message)
    else logger.fatal(isForebayError(err) ? { code: err.code, reason: describeError(err) } : { err }, 'start failed')
    process.exit(1)
  }
}
