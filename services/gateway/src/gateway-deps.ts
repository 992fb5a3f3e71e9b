import type { BlobStore } from '@forebay/blobs'
import type { Config } from '@forebay/config'
import type { Clock, Logger, Registry } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import type { Database } from '@forebay/store'
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { Authenticator } from './auth/authenticator.ts'
import type { LiveBudgets } from './budgets/live-budgets.ts'
import type { PriceCache } from './budgets/price-cache.ts'
import type { CacheRules } from './cache/cache-rules.ts'
import type { HitReporter } from './cache/hit-reporter.ts'
import type { LiveAnswers } from './cache/live-answers.ts'
import type { TenantLimits } from './limits/tenant-limits.ts'
import type { ComplexityChecks } from './live/complexity-checks.ts'
import type { LiveCalls } from './live/live-calls.ts'
import type { ModelDirectory } from './live/model-directory.ts'
import type { GatewayMetrics } from './metrics.ts'

/** The HTTP framework with zod schemas as types. */
export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>

/** What the routes work with. */
export interface GatewayDeps {
  config: Config
  clock: Clock
  logger: Logger
  registry: Registry
  metrics: GatewayMetrics
  db: Database
  blobs: BlobStore
  pools: Pools
  authenticator: Authenticator
  limits: TenantLimits
  models: ModelDirectory
  calls: LiveCalls
  /** The measured quality of rules that choose by complexity. */
  complexity: ComplexityChecks
  budgets: LiveBudgets
  prices: PriceCache
  answers: LiveAnswers
  cacheRules: CacheRules
  reporter: HitReporter
  /** Undefined when the gateway can serve, else what is wrong. */
  trouble: () => Promise<string | undefined>
}

/** Adds one route to the app. */
export type Route = (app: App, deps: GatewayDeps) => void
