import { describeError, type Logger } from '@forebay/kernel'
import { openRedis } from '@forebay/redis'
import { type IQueueBackend, QueueKeys, RedisConnection, RedisQueueBackend } from 'bullmq'
import { type Broker, backendOptions } from './broker.ts'

const prefix = 'forebay'

/**
 * Redis by a `redis://` or `rediss://` URL: one connection for commands, shared by all queues, and one blocking
 * connection per received queue, which waits for Redis to return while it is away. Rejects as `openRedis` does.
 */
export async function openRedisBroker(options: { url: string; logger: Logger }): Promise<Broker> {
  const { logger } = options
  const redis = await openRedis(options)
  const logError = (err: unknown) => logger.warn({ error: describeError(err) }, 'redis connection error')

  const keys = new QueueKeys(prefix)
  // The version was checked when it was opened; BullMQ's own check warns on the console.
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
