import type { Answer } from '@forebay/answer-cache'
import type { Config } from '@forebay/config'
import { type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import {
  type AskedQuestion,
  eraseStoredTenant,
  makeEmbedder,
  makeScanIndex,
  makeTrustBook,
  openPgvectorIndex,
  SemanticCache,
  type Served,
} from '@forebay/semantic-cache'
import type { Database } from '@forebay/store'
import type { GatewayMetrics } from '../metrics.ts'

/** An embedding of a question takes no longer: then it is computed. */
const embedMsMax = 1_000
const retryMs = 10_000

interface SimilarOptions {
  config: Config
  db: Database
  clock: Clock
  logger: Logger
  metrics: GatewayMetrics
  /** From 0 to 1. */
  random: () => number
}

/** The semantic cache of this gateway, opened when the first question comes; there is none without an embeddings endpoint. */
export class SimilarAnswers implements Running {
  readonly #options: SimilarOptions
  #opening: Promise<SemanticCache> | undefined
  #failedMs = Number.NEGATIVE_INFINITY
  readonly #parts: Running[] = []

  constructor(options: SimilarOptions) {
    this.#options = options
  }

  /** True when an embeddings endpoint is configured. */
  get configured(): boolean {
    const { embeddingsModel, embeddingsUrl } = this.#options.config
    return embeddingsUrl !== undefined && embeddingsModel !== undefined
  }

  /** What to serve, or whom to give the computed answer; undefined while the cache cannot be opened. */
  async ask(asked: AskedQuestion): Promise<Served | ((computed: Answer | undefined) => void) | undefined> {
    const { clock, logger } = this.#options
    if (!this.#opening && clock.now() - this.#failedMs < retryMs) return undefined
    this.#opening ??= this.#open()
    try {
      return await (await this.#opening).ask(asked)
    } catch (err) {
      this.#opening = undefined
      this.#failedMs = clock.now()
      logger.warn({ reason: describeError(err) }, 'semantic cache cannot be opened')
      return undefined
    }
  }

  /** Deletes a tenant's answers, in this process and in the database. */
  async eraseTenant(tenantId: string): Promise<void> {
    const cache = await this.#opening?.catch(() => undefined)
    await cache?.eraseTenant(tenantId)
    await eraseStoredTenant(this.#options.db, tenantId)
  }

  async stop(): Promise<void> {
    const cache = await this.#opening?.catch(() => undefined)
    await cache?.stop()
    for (const part of this.#parts) await part.stop()
  }

  async #open(): Promise<SemanticCache> {
    const { clock, config, db, logger, metrics, random } = this.#options
    const embedder = makeEmbedder({
      url: config.embeddingsUrl ?? '',
      model: config.embeddingsModel ?? '',
      apiKey: config.embeddingsApiKey,
      timeoutMs: embedMsMax,
    })
    this.#parts.push(embedder)
    const [probe] = await embedder.embed(['dimensions'])
    const ttlMs = config.cacheTtlMs
    const index =
      (await openPgvectorIndex({ db, logger, dimensions: probe?.length ?? 0, ttlMs })) ??
      makeScanIndex({ clock, ttlMs, bytesMax: config.semanticMemoryBytes })
    this.#parts.push(index)
    const rules = { samplesMin: config.semanticSamples, errorBudget: config.semanticErrorBudget }
    const cache = new SemanticCache({
      ...{ clock, logger, embedder, index, random, similarityMin: config.semanticSimilarity },
      trust: makeTrustBook({ db, clock, rules }),
      sampleShare: config.semanticSampleShare,
      observer: {
        looked: (result) => metrics.semanticLookups.inc({ result }),
        refused: (guard) => metrics.semanticRefused.inc({ guard }),
        sampled: (verdict) => metrics.semanticSamples.inc({ verdict }),
        stopped: (tenantId, model) => {
          metrics.semanticStops.inc()
          logger.error({ tenantId, model }, 'semantic cache stopped: too many of its answers differ from computed ones')
        },
      },
    })
    cache.start()
    return cache
  }
}
