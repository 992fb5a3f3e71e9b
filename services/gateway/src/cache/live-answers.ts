import {
  type Answer,
  AnswerCache,
  answerKey,
  makeRedisAnswers,
  readCacheable,
  type SharedAnswers,
} from '@forebay/answer-cache'
import type { Config } from '@forebay/config'
import type { InferenceEndpoint } from '@forebay/contracts'
import type { Clock, Logger, Running } from '@forebay/kernel'
import { readQuestion } from '@forebay/semantic-cache'
import type { LiveBody } from '../live/live-body.ts'
import type { ModelDirectory } from '../live/model-directory.ts'
import type { GatewayMetrics } from '../metrics.ts'
import { type AnswerRecorder, makeAnswerRecorder } from './answer-recorder.ts'
import type { CacheRules } from './cache-rules.ts'
import type { HitReporter } from './hit-reporter.ts'
import type { SimilarAnswers } from './similar-answers.ts'

/** A request as the caches see it. */
export interface Asked {
  requestId: string
  tenantId: string
  endpoint: InferenceEndpoint
  body: LiveBody
  pool: string
  headers: Readonly<Record<string, string | string[] | undefined>>
  /** What stands for whom it is sent for. */
  endUser?: string | undefined
}

/**
 * What a request does: `hit`: it is answered, by similarity when that is told. Else it is computed; with a `recorder` the answer may be kept, and
 * `finish` must be called once, with the pool whose answer came to its end, or with undefined when none did. `shown` is what the client is told.
 */
export type AnswerTurn =
  | { kind: 'hit'; answer: Answer; similarity?: number }
  | {
      kind: 'compute'
      shown: 'miss' | 'bypass'
      recorder?: AnswerRecorder
      finish: (answeredBy: string | undefined) => void
    }

const waitMs = 60_000
const missed: AnswerTurn = { kind: 'compute', shown: 'miss', finish: () => {} }
const bypassed: AnswerTurn = { ...missed, shown: 'bypass' }

/** The caches before the real-time endpoints: the exact one first, then, for tenants that want it, the semantic one. */
export class LiveAnswers implements Running {
  readonly #options: LiveAnswersOptions
  readonly #shared: SharedAnswers | undefined
  readonly #cache: AnswerCache

  constructor(options: LiveAnswersOptions) {
    this.#options = options
    const { clock, config, logger, metrics } = options
    const url = config.cacheRedisUrl ?? config.redisUrl
    this.#shared = url === undefined || config.cache === 'off' ? undefined : makeRedisAnswers({ url, logger })
    this.#cache = new AnswerCache({
      clock,
      logger,
      shared: this.#shared,
      ttlMs: config.cacheTtlMs,
      memoryBytes: config.cacheMemoryBytes,
      entryBytesMax: config.cacheEntryBytes,
      waitMs,
      onError: () => metrics.cacheErrors.inc(),
    })
  }

  start(): void {
    this.#cache.start()
  }

  async stop(): Promise<void> {
    await this.#cache.stop()
    await this.#options.similar.stop()
    await this.#shared?.stop()
  }

  /** Deletes a tenant's answers, here and where gateways share them. */
  async eraseTenant(tenantId: string): Promise<void> {
    await this.#cache.eraseTenant(tenantId)
    await this.#options.similar.eraseTenant(tenantId)
  }

  /** Forgets what this process keeps. */
  clear(): void {
    this.#cache.clear()
  }

  /** Looks the request up. Throws `client_closed` when `leaving` aborts while an equal request is waited for. */
  async turn(asked: Asked, leaving: () => AbortSignal): Promise<AnswerTurn> {
    const { clock, config, metrics, models, reporter, rules } = this.#options
    const { tenantId, endpoint, body, pool } = asked
    if (config.cache === 'off' || refused(asked.headers) || !rules().of(tenantId).exact || reporter.full)
      return this.#bypass()
    const epoch = rules().epochOf(tenantId, body.model)
    const what = readCacheable({ endpoint, text: body.given, fields: body.fields })
    if (epoch === undefined || 'bypass' in what) return this.#bypass()
    const version = () => models.versionsOf(pool, body.model)
    const before = version()
    const { canonical } = what
    const modelVersion = before.seen
    const id = answerKey({ tenantId, endpoint, model: body.model, modelVersion, epoch, canonical })
    const turn = await this.#cache.turn({ tenantId, id, ttlMs: rules().of(tenantId).ttlMs }, leaving())
    metrics.cacheBytes.set(this.#cache.bytes)
    if (turn.kind === 'hit') {
      metrics.cacheLookups.inc({ result: turn.waited ? 'waited' : 'hit' })
      return turn
    }
    metrics.cacheLookups.inc({ result: 'miss' })
    const similar = await this.#similar(asked, { modelVersion, epoch }).catch((err: unknown) => {
      if (turn.kind === 'lead') turn.finish({ kind: 'failed' })
      throw err
    })
    if (similar && typeof similar !== 'function') {
      if (turn.kind === 'lead') turn.finish({ kind: 'unstorable' })
      return { kind: 'hit', ...similar }
    }
    if (turn.kind === 'alone') return missed
    const recorder = makeAnswerRecorder({ endpoint, choices: choicesOf(body.fields), bytesMax: config.cacheEntryBytes })
    const { requestId } = asked
    const keep = (): Answer | undefined => {
      // Meanwhile another version may have come, or a flush: whose answer this is would not be known.
      if (version().seen !== before.seen || rules().epochOf(tenantId, body.model) !== epoch) return undefined
      return recorder.answer({ requestId, modelVersion: before.said.join(','), nowMs: clock.now() })
    }
    return {
      kind: 'compute',
      shown: 'miss',
      recorder,
      finish: (answeredBy) => {
        // Another pool than that of the key may run another version.
        const answer = answeredBy === pool ? keep() : undefined
        similar?.(answer)
        if (answer) turn.finish({ kind: 'answer', answer })
        else turn.finish({ kind: answeredBy === undefined ? 'failed' : 'unstorable' })
      },
    }
  }

  #bypass(): AnswerTurn {
    this.#options.metrics.cacheLookups.inc({ result: 'bypass' })
    return bypassed
  }

  async #similar(asked: Asked, key: { modelVersion: string; epoch: string }) {
    const { rules, similar } = this.#options
    const { body, endpoint, tenantId } = asked
    if (!similar.configured || !rules().of(tenantId).semantic) return undefined
    const question = readQuestion({ endpoint, fields: body.fields })
    if (!question) return undefined
    const { model } = body
    const hardKey = answerKey({ tenantId, endpoint, model, ...key, canonical: question.hard })
    const { ttlMs } = rules().of(tenantId)
    return similar.ask({ tenantId, model, hardKey, text: question.text, ttlMs })
  }
}

interface LiveAnswersOptions {
  similar: SimilarAnswers

  config: Config
  clock: Clock
  logger: Logger
  metrics: GatewayMetrics
  models: Pick<ModelDirectory, 'versionsOf'>
  reporter: HitReporter
  /** As they are when a request comes. */
  rules: () => CacheRules
}

/** True when the client wants neither a stored answer nor its own stored. */
function refused(headers: Asked['headers']): boolean {
  const wish = String(headers['x-forebay-cache'] ?? '').toLowerCase()
  return wish === 'bypass' || /\bno-(cache|store)\b/i.test(String(headers['cache-control'] ?? ''))
}

function choicesOf(fields: object): number {
  return 'n' in fields && typeof fields.n === 'number' ? fields.n : 1
}
