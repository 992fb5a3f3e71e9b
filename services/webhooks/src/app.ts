import type { LookupFunction } from 'node:net'
import { makeAddressPolicy } from '@forebay/address-policy'
import type { Config } from '@forebay/config'
import { type Clock, type Logger, type Registry, type Running, stopAll } from '@forebay/kernel'
import type { Database } from '@forebay/store'
import { Deliverer } from './deliverer.ts'
import { makeMetrics } from './metrics.ts'
import { makeSender } from './sender.ts'

/**
 * Starts the delivery of events from the outbox to the tenants' endpoints: signed, at least once, with retries over
 * some 27 hours. Stopping drains for up to `config.drainMs`. The database stays the caller's to stop.
 */
export async function startWebhooks(options: {
  config: Config
  clock: Clock
  logger: Logger
  registry: Registry
  db: Database
  /** How host names are resolved; the system's way when not given. */
  lookup?: LookupFunction
  /** Source of the retries' jitter, in [0, 1). */
  random?: () => number
}): Promise<Running> {
  const { config, clock, logger, registry, db, lookup } = options
  const timeoutMs = config.webhookTimeoutMs
  const policy = makeAddressPolicy(config.webhookAllow ?? [])
  const sender = makeSender({ clock, policy, timeoutMs, ...(lookup ? { lookup } : {}) })
  const deliverer = new Deliverer({
    clock,
    logger: logger.child({ component: 'webhooks' }),
    db,
    sender,
    metrics: makeMetrics(registry),
    timeoutMs,
    drainMs: config.drainMs,
    random: options.random ?? Math.random,
  })
  await deliverer.start()
  return { stop: () => stopAll([deliverer, sender]) }
}
