import { describeError, type Logger, type Running } from '@forebay/kernel'
import { Redis } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, type RateLimiterRes } from 'rate-limiter-flexible'

/** How much was counted in a key's present window, and when that window ends. */
export interface WindowState {
  used: number
  resetMs: number
}

/** Counts per key in windows of fixed length, shared by all gateways where there is Redis. */
export interface CountingWindows extends Running {
  /** Adds `points` (negative: gives back) and answers the window's state; undefined when the store cannot be reached. */
  add(window: 'requests' | 'tokens' | 'batches', key: string, points: number): Promise<WindowState | undefined>
}

const windowSeconds = { requests: 60, tokens: 60, batches: 3600 } as const

/** Windows in Redis, or in this process when `redisUrl` is not set. An unreachable Redis is known within half a second. */
export function openCountingWindows(options: {
  redisUrl: string | undefined
  logger: Logger
  onError: () => void
}): CountingWindows {
  const redis = options.redisUrl === undefined ? undefined : connect(options.redisUrl, options.logger)
  const points = Number.MAX_SAFE_INTEGER
  const make = (window: keyof typeof windowSeconds) => {
    const common = { points, duration: windowSeconds[window], keyPrefix: `forebay:limit:${window}` }
    return redis ? new RateLimiterRedis({ ...common, storeClient: redis }) : new RateLimiterMemory(common)
  }
  const limiters = { requests: make('requests'), tokens: make('tokens'), batches: make('batches') }
  return {
    add: async (window, key, amount) => {
      try {
        const limiter = limiters[window]
        const result: RateLimiterRes =
          amount >= 0 ? await limiter.penalty(key, amount) : await limiter.reward(key, -amount)
        return { used: result.consumedPoints, resetMs: Math.max(0, result.msBeforeNext) }
      } catch (err) {
        options.onError()
        options.logger.warn({ reason: describeError(err) }, 'limiter cannot be reached; requests pass unlimited')
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
