import type { Config } from '@forebay/config'
import { queueName } from '@forebay/contracts'
import { type Clock, describeError, type Logger, type Registry, type Running } from '@forebay/kernel'
import type { QueueProvider } from '@forebay/queue-port'
import type { Database } from '@forebay/store'
import { makeResultsMetrics } from './metrics.ts'
import { PoolConsumer } from './pool-consumer.ts'

const poolsEveryMs = 3_000

/**
 * Starts consuming the results queue of the configured pool and of every pool that serves a model, new ones within
 * seconds. Any number of replicas may run. Starts also while the database or the broker is down, and waits for it.
 */
export async function startResults(options: {
  config: Pick<Config, 'pool' | 'queueLeaseMs'>
  clock: Clock
  logger: Logger
  registry: Registry
  db: Database
  queues: QueueProvider
}): Promise<Running> {
  const { clock, config, db, logger, queues } = options
  const metrics = makeResultsMetrics(options.registry)
  const consumers = new Map<string, PoolConsumer>()

  const consume = (pool: string) => {
    if (consumers.has(pool)) return
    const driver = queues.queue(queueName(pool, 'results'))
    const consumer = new PoolConsumer({ driver, db, clock, logger, metrics, leaseMs: config.queueLeaseMs })
    consumers.set(pool, consumer)
    consumer.start()
    logger.info({ pool }, 'consuming results')
  }

  let search: Promise<void> | undefined
  const findPools = async () => {
    try {
      const rows = await db.query<{ pool: string }>('SELECT DISTINCT pool FROM models')
      for (const { pool } of rows) if (!stopped) consume(pool)
    } catch (err) {
      logger.warn({ reason: describeError(err) }, 'pools could not be looked up')
    }
  }
  const lookForPools = () => {
    search ??= findPools().finally(() => {
      search = undefined
    })
  }

  let stopped: Promise<void> | undefined
  consume(config.pool)
  lookForPools()
  const stopLooking = clock.every(poolsEveryMs, lookForPools)
  const drain = async () => {
    stopLooking()
    await search
    await Promise.all([...consumers.values()].map((consumer) => consumer.stop()))
  }
  return { stop: () => (stopped ??= drain()) }
}
