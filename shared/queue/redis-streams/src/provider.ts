import type { Clock, Logger } from '@forebay/kernel'
import { makeQueueProvider, type QueueProvider } from '@forebay/queue-port'
import { openRedis } from '@forebay/redis'
import { RedisStreamsQueue } from './driver.ts'
import { withScripts } from './scripts.ts'

/**
 * Queues on the streams of the Redis of a `redis://` or `rediss://` URL, 6.2 or newer. `leaseMs` must be the same in
 * every process that receives. Rejects with `unavailable` or `config_invalid`, and the way out, when the server cannot
 * be reached or is too old.
 */
export async function makeRedisStreamsProvider(options: {
  url: string
  clock: Clock
  logger: Logger
  leaseMs: number
}): Promise<QueueProvider> {
  const { clock, leaseMs, logger } = options
  const redis = withScripts(await openRedis(options))
  return makeQueueProvider({
    make: (name) => new RedisStreamsQueue({ name, redis, clock, logger, leaseMs }),
    closeConnections: async () => redis.disconnect(),
  })
}
