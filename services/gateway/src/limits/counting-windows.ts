import { describeError, type Logger, type Running } from '@forebay/kernel'
import { Redis } from 'ioredis'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import { addInRedis } from './add-in-redis.ts'

/** How much was counted in a key's present window, and when that window ends. */
export interface WindowState {
  used: number
  resetMs: number
}

/** What is counted, each in windows of its own length. */
export type Window = 'requests' | 'tokens' | 'batches'

/** Counts per key in windows of fixed length, shared by all gateways where there is Redis. */
export interface CountingWindows extends Running {
  /**
   * Adds points (negative: gives back) to windows of one key, all in one call to the store, and answers each window's
   * state; undefined when the store cannot be reached.
   */
  add<W extends Window>(key: string, points: Readonly<Record<W, number>>): Promise<Record<W, WindowState> | undefined>
}

/** Adds the points to each of the windows and answers their states, in order. */
export type AddToWindows = (
  key: string,
  changes: readonly { window: Window; points: number; lengthMs: number }[],
) => Promise<readonly WindowState[]>

const windowMs: Record<Window, number> = { requests: 60_000, tokens: 60_000, batches: 3_600_000 }

/** Windows in Redis, or in this process when `redisUrl` is not set. An unreachable Redis is known within half a second. */
export function openCountingWindows(options: {
  redisUrl: string | undefined
  logger: Logger
  onError: () => void
}): CountingWindows {
  const redis = options.redisUrl === undefined ? undefined : connect(options.redisUrl, options.logger)
  const addAll = redis ? addInRedis(redis) : addInMemory()
  return {
    add: async <W extends Window>(key: string, points: Readonly<Record<W, number>>) => {
      const windows = Object.keys(points) as W[]
      try {
        const changes = windows.map((window) => ({ window, points: points[window], lengthMs: windowMs[window] }))
        const states = await addAll(key, changes)
        return Object.fromEntries(windows.map((window, i) => [window, states[i]])) as Record<W, WindowState>
      } catch (err) {
        options.onError()
        options.logger.warn({ reason: describeError(err) }, 'limiter cannot be reached; requests pass unlimited')
        return undefined
      }
    },
    stop: async () => redis?.disconnect(),
  }
}

function addInMemory(): AddToWindows {
  const limiters = new Map<Window, RateLimiterMemory>()
  const limiterOf = (window: Window, lengthMs: number) => {
    const points = Number.MAX_SAFE_INTEGER
    const limiter = limiters.get(window) ?? new RateLimiterMemory({ points, duration: lengthMs / 1000 })
    limiters.set(window, limiter)
    return limiter
  }
  return (key, changes) =>
    Promise.all(
      changes.map(async ({ lengthMs, points, window }) => {
        const limiter = limiterOf(window, lengthMs)
        const result = points >= 0 ? await limiter.penalty(key, points) : await limiter.reward(key, -points)
        return { used: result.consumedPoints, resetMs: Math.max(0, result.msBeforeNext) }
      }),
    )
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
