import { describeError, ForebayError, type Logger } from '@forebay/kernel'
import { type IQueueBackend, QueueKeys, RedisConnection, RedisQueueBackend } from 'bullmq'
import { Redis } from 'ioredis'
import { type Broker, backendOptions } from './broker.ts'
import { displayUrl } from './display-url.ts'

const prefix = 'forebay'
const connectTimeoutMs = 5_000
const commandTimeoutMs = 10_000

/**
 * Redis, 5 or newer, by a `redis://` or `rediss://` URL (its path is the database number). One connection for
 * commands, shared by all queues, which fails at once while Redis is away, so that senders learn it; and one blocking
 * connection per received queue, which waits for Redis to return.
 */
export async function openRedisBroker(options: { url: string; logger: Logger }): Promise<Broker> {
  const { url, logger } = options
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: connectTimeoutMs,
    commandTimeout: commandTimeoutMs,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    retryStrategy: (times) => Math.min(100 * times, 2_000),
  })
  const logError = (err: unknown) => logger.warn({ error: describeError(err) }, 'redis connection error')
  redis.on('error', logError)
  try {
    // Rejects when the first attempt fails: a wrong URL should be told at once, not retried for ever.
    await redis.connect()
    checkServer(await redis.info(), { url, logger })
  } catch (err) {
    redis.disconnect()
    if (err instanceof ForebayError) throw err
    throw unreachable(url, err)
  }

  const keys = new QueueKeys(prefix)
  // The version was checked above; BullMQ's own check warns on the console.
  const share = () => {
    const connection = new RedisConnection(redis, { shared: true, blocking: false, skipVersionCheck: true })
    connection.on('error', logError)
    // Every queue listens on it.
    connection.setMaxListeners(0)
    return connection
  }
  const backend = (queue: string, opts: object, main: RedisConnection, blocking?: RedisConnection) =>
    new RedisQueueBackend(
      main,
      queue,
      keys.getKeys(queue),
      (type) => keys.toKey(queue, type),
      Object.assign({ connection: redis, prefix }, opts),
      blocking,
    )
  const shared = share()
  await shared.client
  const waiters = new Set<IQueueBackend>()
  const closeWaiter = async (waiter: IQueueBackend) => {
    if (waiters.delete(waiter)) await waiter.close(true)
  }
  return {
    claimsWake: true,
    claimsMax: 64,
    operations: (queue, timing) => backend(queue, backendOptions(timing), shared),
    waiter(queue) {
      const client = redis.duplicate({ lazyConnect: false, enableOfflineQueue: true, maxRetriesPerRequest: null })
      // A blocking command outlasts any command timeout.
      delete client.options.commandTimeout
      client.on('error', logError)
      const blocking = new RedisConnection(client, { shared: false, blocking: true, skipVersionCheck: true })
      const waiter = backend(queue, {}, share(), blocking)
      waiter.on('error', logError)
      waiters.add(waiter)
      return waiter
    },
    closeWaiter,
    async handBackWakeUp(queue) {
      await redis.zadd(keys.toKey(queue, 'marker'), 0, '0')
    },
    async close() {
      await Promise.all([...waiters].map(closeWaiter))
      await shared.close()
      redis.disconnect()
    },
  }
}

function unreachable(url: string, cause: unknown): ForebayError {
  return new ForebayError(
    'unavailable',
    `Redis at ${displayUrl(url)} cannot be reached: start it, or set the queue URL to one that runs.`,
    { cause },
  )
}

function checkServer(info: string, options: { url: string; logger: Logger }): void {
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1]
  const version = field('redis_version') ?? ''
  if (Number.parseInt(version, 10) < 5) {
    throw new ForebayError(
      'config_invalid',
      `Redis at ${displayUrl(options.url)} is version ${version}: upgrade it to 5 or newer (6.2 or newer is better).`,
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
