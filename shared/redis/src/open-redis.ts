import { describeError, ForebayError, type Logger } from '@forebay/kernel'
import { Redis } from 'ioredis'
import { displayUrl } from './display-url.ts'

const connectTimeoutMs = 5_000
const commandTimeoutMs = 10_000
/** Streams with pending entries that are read by how long they were idle, and trimmed by age. */
const oldest = { major: 6, minor: 2 }

/**
 * A connection for commands to the Redis of a `redis://` or `rediss://` URL (its path is the database number). While
 * Redis is away a command fails at once, so that its caller learns it; the connection comes back by itself. Rejects
 * with `unavailable` or `config_invalid`, and the way out, when the first attempt fails or Redis is older than 6.2.
 */
export async function openRedis(options: { url: string; logger: Logger }): Promise<Redis> {
  const { url, logger } = options
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: connectTimeoutMs,
    commandTimeout: commandTimeoutMs,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    retryStrategy: (times) => Math.min(100 * times, 2_000),
  })
  redis.on('error', (err: unknown) => logger.warn({ error: describeError(err) }, 'redis connection error'))
  try {
    // Rejects when the first attempt fails: a wrong URL should be told at once, not retried for ever.
    await redis.connect()
    checkServer(await redis.info(), { url, logger })
  } catch (err) {
    redis.disconnect()
    if (err instanceof ForebayError) throw err
    throw new ForebayError(
      'unavailable',
      `Redis at ${displayUrl(url)} cannot be reached: start it, or set the queue URL to one that runs.`,
      { cause: err },
    )
  }
  return redis
}

function checkServer(info: string, options: { url: string; logger: Logger }): void {
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1]
  const version = field('redis_version') ?? ''
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major < oldest.major || (major === oldest.major && minor < oldest.minor)) {
    throw new ForebayError(
      'config_invalid',
      `Redis at ${displayUrl(options.url)} is version ${version}: upgrade it to ${oldest.major}.${oldest.minor} or newer.`,
    )
  }
  const policy = field('maxmemory_policy')
  if (policy !== undefined && policy !== 'noeviction') {
    options.logger.warn(
      { policy },
      'redis may evict queued jobs when its memory is full: set maxmemory-policy to noeviction',
    )
  }
}
