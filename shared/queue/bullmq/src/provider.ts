import { type Clock, ForebayError, type Logger } from '@forebay/kernel'
import { checkQueueName, type QueueProvider } from '@forebay/queue-port'
import { displayUrl } from '@forebay/redis'
import { BullmqQueue } from './driver.ts'
import { openPostgresBroker } from './postgres-broker.ts'
import { openRedisBroker } from './redis-broker.ts'

/**
 * Queues on BullMQ: on Redis for a `redis://` or `rediss://` URL, on Postgres for `postgres://` or `postgresql://`.
 * `leaseMs` must be the same in every process that receives. Rejects with `unavailable` or `config_invalid`, and the
 * way out, when the server cannot be reached or is too old.
 */
export async function makeBullmqProvider(options: {
  url: string
  clock: Clock
  logger: Logger
  leaseMs: number
}): Promise<QueueProvider> {
  const { clock, leaseMs, logger, url } = options
  const broker = await openBroker({ url, clock, logger, leaseMs })
  const queues = new Map<string, BullmqQueue>()
  let closing: Promise<void> | undefined
  const close = async () => {
    await Promise.all([...queues.values()].map((queue) => queue.close()))
    await broker.close()
  }
  return {
    queue(name) {
      const queue = queues.get(name) ?? new BullmqQueue({ name: checkQueueName(name), broker, clock, logger, leaseMs })
      queues.set(name, queue)
      return queue
    },
    close() {
      closing ??= close()
      return closing
    },
  }
}

function openBroker(options: { url: string; clock: Clock; logger: Logger; leaseMs: number }) {
  if (/^rediss?:\/\//.test(options.url)) return openRedisBroker(options)
  if (/^postgres(ql)?:\/\//.test(options.url)) return openPostgresBroker(options)
  throw new ForebayError(
    'config_invalid',
    `The queue URL ${displayUrl(options.url)} is neither Redis (redis://, rediss://) nor Postgres (postgres://).`,
  )
}
