import type { AddressInfo } from 'node:net'
import type { BlobStore } from '@forebay/blobs'
import type { Config } from '@forebay/config'
import { type Clock, ForebayError, type Logger, type Registry, type Running } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import type { ReplyBus } from '@forebay/reply-bus'
import type { Database } from '@forebay/store'
import { buildApp } from './app.ts'
import { Authenticator } from './auth/authenticator.ts'
import { LiveBudgets } from './budgets/live-budgets.ts'
import { PriceCache } from './budgets/price-cache.ts'
import { CacheRules } from './cache/cache-rules.ts'
import { HitReporter } from './cache/hit-reporter.ts'
import { LiveAnswers } from './cache/live-answers.ts'
import { SimilarAnswers } from './cache/similar-answers.ts'
import { findTrouble } from './find-trouble.ts'
import { openCountingWindows } from './limits/counting-windows.ts'
import { makeTenantLimits } from './limits/tenant-limits.ts'
import { ComplexityChecks } from './live/complexity-checks.ts'
import { LiveCalls } from './live/live-calls.ts'
import { ModelDirectory } from './live/model-directory.ts'
import { makeGatewayMetrics } from './metrics.ts'
import { PoolProbe } from './pools/pool-probe.ts'

/** A gateway that listens. */
export interface Gateway extends Running {
  readonly url: string
  readonly port: number
}

/**
 * Starts the HTTP API. `stop` takes no new requests, lets those under way finish for up to `config.drainMs`, then
 * fails the rest; the database, pools, blobs and bus given stay open.
 */
export async function startGateway(options: {
  config: Config
  clock: Clock
  logger: Logger
  registry: Registry
  db: Database
  blobs: BlobStore
  pools: Pools
  bus: ReplyBus
}): Promise<Gateway> {
  const { config, clock, logger, registry, db, blobs, pools, bus } = options
  const metrics = makeGatewayMetrics(registry)
  const authenticator = new Authenticator({ db, clock, logger })
  const models = new ModelDirectory({ db, bus, clock, logger, pools, ownCalls: (pool) => calls.inFlight(pool) })
  const windows = openCountingWindows({
    redisUrl: config.redisUrl,
    clock,
    logger,
    onError: () => metrics.limiterErrors.inc(),
  })
  const calls: LiveCalls = new LiveCalls({
    bus,
    pools,
    clock,
    logger,
    metrics,
    requestTimeoutMs: config.requestTimeoutMs,
    // A queue that cannot be reached has, for a request in it, no worker.
    poolSigns: (pool) => ({
      heardMs: pools.trouble(pool) ? Number.NEGATIVE_INFINITY : models.lastHeardMs(pool),
      lostMs: models.lostMs(pool),
    }),
  })
  const { requestsPerMinute, tokensPerMinute } = config
  const limits = makeTenantLimits({ windows, clock, metrics, requestsPerMinute, tokensPerMinute })
  const prices = new PriceCache({ db, clock, logger })
  const budgets = new LiveBudgets({ db, clock, logger, prices, requestTimeoutMs: config.requestTimeoutMs })
  const reporter = new HitReporter({ pools, clock, logger, metrics })
  const similar = new SimilarAnswers({ config, db, clock, logger, metrics, random: Math.random })
  const answers = new LiveAnswers({
    ...{ config, clock, logger, metrics, models, reporter, similar },
    rules: () => cacheRules,
  })
  const cacheRules: CacheRules = new CacheRules({
    db,
    clock,
    logger,
    ttlMs: config.cacheTtlMs,
    erase: (tenantId) => answers.eraseTenant(tenantId),
    clear: () => answers.clear(),
  })
  const complexity = new ComplexityChecks({ db, pools, clock, logger, metrics, calls, models })
  const trouble = () => findTrouble({ db, blobs, pools, bus, clock })
  const probe = new PoolProbe({ pools, clock })
  let stopping = false
  const app = await buildApp(
    {
      ...{
        config,
        clock,
        logger,
        registry,
        metrics,
        db,
        blobs,
        pools,
        authenticator,
        limits,
        models,
        calls,
        complexity,
        trouble,
      },
      ...{ answers, cacheRules, reporter, budgets, prices },
    },
    { stopping: () => stopping },
  )

  const stop = async () => {
    stopping = true
    const drained = new AbortController()
    const closed = app.close().finally(() => drained.abort())
    await clock.sleep(config.drainMs, drained.signal).then(
      async () => {
        logger.warn({ drainMs: config.drainMs }, 'requests under way are cut off')
        calls.failAll(
          new ForebayError('unavailable', 'The server is shutting down. Please retry.', { retryAfterMs: 1000 }),
        )
        // A moment for what they are told to reach their clients.
        await clock.sleep(250, drained.signal).catch(() => {})
        app.server.closeAllConnections()
      },
      () => {},
    )
    await closed
    await complexity.stop()
    await calls.stop()
    await budgets.stop()
    await prices.stop()
    await cacheRules.stop()
    await answers.stop()
    await reporter.stop()
    await probe.stop()
    await models.stop()
    await authenticator.stop()
    await limits.stop()
    await windows.stop()
  }

  try {
    await prices.start()
    await budgets.start()
    await models.start()
    await calls.start()
    await complexity.start()
    answers.start()
    await cacheRules.start()
    authenticator.start()
    probe.start()
    await app.listen({ host: config.host, port: config.port })
  } catch (err) {
    await stop()
    throw asListenError(err, config)
  }
  const { port } = app.server.address() as AddressInfo
  const host = config.host === '0.0.0.0' || config.host === '::' ? '127.0.0.1' : config.host
  let stopped: Promise<void> | undefined
  return { port, url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`, stop: () => (stopped ??= stop()) }
}

function asListenError(err: unknown, config: Config): unknown {
  const code = err instanceof Error && 'code' in err ? err.code : undefined
  if (code !== 'EADDRINUSE' && code !== 'EACCES' && code !== 'EADDRNOTAVAIL') return err
  return new ForebayError(
    'config_invalid',
    `The gateway cannot listen on ${config.host}:${config.port} (${code}). Choose another PORT or HOST, or 0 for a free port.`,
    { cause: err },
  )
}
