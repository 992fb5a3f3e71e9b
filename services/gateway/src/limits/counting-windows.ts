import { type Clock, describeError, type Logger } from '@forebay/kernel'
import { Redis } from 'ioredis'
import { takeInMemory } from './take-in-memory.ts'
import { takeInRedis } from './take-in-redis.ts'
import type { Ask, CountingWindows, Taken, Window } from './window.ts'

const windowMs: Record<Window, number> = { requests: 60_000, tokens: 60_000, batches: 3_600_000 }
/** Windows in Redis, or in this process when `redisUrl` is not set. An unreachable Redis is known within half a second. */
export function openCountingWindows(options: {
  redisUrl: string | undefined
  clock: Clock
  logger: Logger
  onError: () => void
}): CountingWindows {
  const { clock, logger, onError, redisUrl } = options
  const redis = redisUrl === undefined ? undefined : connect(redisUrl, logger)
  const takeAll = redis ? takeInRedis(redis) : takeInMemory(clock)
  return {
    shared: redis !== undefined,
    take: async <W extends Window>(key: string, asks: Readonly<Record<W, Ask>>) => {
      const windows = Object.keys(asks) as W[]
      try {
        const taken = await takeAll(
          key,
          windows.map((window) => ({ ...asks[window], window, lengthMs: windowMs[window] })),
        )
        return Object.fromEntries(windows.map((window, i) => [window, taken[i]])) as Record<W, Taken>
      } catch (err) {
        onError()
        logger.warn({ reason: describeError(err) }, 'limiter cannot be reached; requests pass unlimited')
        return undefined
      }
    },
    stop: async () => redis?.disconnect(),
  }
}

function connect(url: string, logger: Logger): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2_000,
    commandTimeout: 500,
    retryStrategy: (times) => Math.min(1_000, 50 * times),
  })
  redis.on('error', (err: unknown) => logger.debug({ reason: describeError(err) }, 'limiter connection trouble'))
  return redis
}
