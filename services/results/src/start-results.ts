import { prepareAudit } from '@forebay/audit'
import type { Config } from '@forebay/config'
import { queueName } from '@forebay/contracts'
import { backoffMs, type Clock, describeError, type Logger, type Registry, type Running } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import type { Database } from '@forebay/store'
import { AuditKeeper } from './audit-keeper.ts'
import { startAuditRetention } from './audit-retention.ts'
import { startDriftWatch } from './drift-watch.ts'
import { makeResultsMetrics } from './metrics.ts'
import { openSigningKey } from './open-signing-key.ts'
import { PoolConsumer } from './pool-consumer.ts'

const poolsEveryMs = 3_000

/**
 * Starts consuming the results queue of every configured pool and of every pool that serves a model, new ones within
 * seconds; one whose broker is down stops no other. Any number of replicas may run. Starts also while the database or the broker is down, and waits for it.
 * It also keeps the audit log's chains, and removes from it what its tenants no longer keep.
 */
export async function startResults(options: {
  config: Pick<
    Config,
    'auditKey' | 'dataDir' | 'queueLeaseMs' | 'retentionAuditDays' | 'qualityRepetitionMax' | 'qualityPerplexityMax'
  >
  clock: Clock
  logger: Logger
  registry: Registry
  db: Database
  pools: Pools
}): Promise<Running> {
  const { clock, config, db, logger, pools } = options
  const metrics = makeResultsMetrics(options.registry)
  const consumers = new Map<string, PoolConsumer>()
  const quality = { repetition: config.qualityRepetitionMax, perplexity: config.qualityPerplexityMax }
  const costPerGpuHour = (pool: string) => pools.spec(pool)?.costPerGpuHour

  const key = await openSigningKey({ config, logger })
  const audit = new AuditKeeper({ db, clock, logger, metrics, key })
  audit.start()
  const prepare = () => prepareAudit(db)
  const stopping = new AbortController()

  const open = async (pool: string): Promise<void> => {
    for (let attempt = 1; !stopping.signal.aborted; attempt++) {
      try {
        const driver = (await pools.queues(pool)).queue(queueName(pool, 'results'))
        if (stopping.signal.aborted) return
        const leaseMs = config.queueLeaseMs
        const consumer = new PoolConsumer({
          driver,
          db,
          clock,
          logger,
          metrics,
          leaseMs,
          costPerGpuHour,
          quality,
          prepare,
        })
        consumers.set(pool, consumer)
        consumer.start()
        logger.info({ pool }, 'consuming results')
        return
      } catch (err) {
        const retryMs = backoffMs(attempt, { firstMs: 250, maxMs: 5_000 })
        logger.warn({ pool, retryMs, reason: describeError(err) }, 'results queue of a pool cannot be opened')
        await clock.sleep(retryMs, stopping.signal).catch(() => {})
      }
    }
  }
  const known = new Set<string>()
  const consume = (pool: string) => {
    if (known.has(pool) || !pools.knows(pool)) return
    known.add(pool)
    // It ends by itself when stopping; a broker that hangs is not waited for.
    void open(pool)
  }

  let search: Promise<void> | undefined
  const findPools = async () => {
    try {
      const rows = await db.query<{ pool: string }>('SELECT DISTINCT pool FROM models')
      for (const { pool } of rows) if (!stopping.signal.aborted) consume(pool)
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
  for (const { name } of pools.list()) consume(name)
  lookForPools()
  const stopLooking = clock.every(poolsEveryMs, lookForPools)
  const driftWatch = startDriftWatch({ db, clock, logger, metrics })
  const retention = startAuditRetention({ db, clock, logger, daysDefault: config.retentionAuditDays })
  const drain = async () => {
    stopLooking()
    await driftWatch.stop()
    await retention.stop()
    stopping.abort()
    await search
    await Promise.all([...consumers.values()].map((consumer) => consumer.stop()))
    await audit.stop()
  }
  return { stop: () => (stopped ??= drain()) }
}
