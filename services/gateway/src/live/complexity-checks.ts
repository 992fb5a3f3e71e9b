import { type InferenceEndpoint, judgeTenantId } from '@forebay/contracts'
import { type Clock, describeError, type Logger, newId, type Running } from '@forebay/kernel'
import { withModel } from '@forebay/plan'
import type { Pools } from '@forebay/pools'
import { type Distrust, readDistrust } from '@forebay/rollouts'
import { answersAgree, type Resolved, shareOf } from '@forebay/router'
import { readSaid } from '@forebay/semantic-cache'
import { type Database, ensureTenant } from '@forebay/store'
import { type AnswerRecorder, makeAnswerRecorder } from '../cache/answer-recorder.ts'
import type { GatewayMetrics } from '../metrics.ts'
import type { LiveBody } from './live-body.ts'
import type { LiveCalls } from './live-calls.ts'
import type { ModelDirectory } from './model-directory.ts'

const readEveryMs = 2_000
// Comparisons are never worth what they keep clients from.
const atOnceMax = 8
const answerBytesMax = 256 * 1024

/** A request whose answer is compared with the other model's. */
export interface DrawnCheck {
  readonly recorder: AnswerRecorder
  /** The client has its answer: has the other model answer, and keeps whether they agree. Never rejects, not waited for. */
  finish(): void
}

/**
 * The measured quality of rules that choose a model by complexity: a share of the requests is answered by the other model,
 * too, once the client has its answer; in the lane that nobody waits in, charged to the judge's tenant.
 */
export class ComplexityChecks implements Running {
  readonly #options: ComplexityOptions
  readonly #running = new Set<Promise<void>>()
  readonly #stopping = new AbortController()
  #distrust: Distrust = () => undefined
  #reading: Promise<void> | undefined
  #stopTimer: (() => void) | undefined

  constructor(options: ComplexityOptions) {
    this.#options = options
  }

  /** Why the small model of a rule is not used for now. */
  readonly distrust: Distrust = (rule) => this.#distrust(rule)

  async start(): Promise<void> {
    if (!this.#options.pools.routes.some(({ complexity }) => complexity)) return
    await this.refresh()
    this.#stopTimer ??= this.#options.clock.every(readEveryMs, () => void this.refresh())
  }

  /** Drops the comparisons under way: what they found is lost. Before the calls given are stopped. */
  async stop(): Promise<void> {
    this.#stopTimer?.()
    this.#stopTimer = undefined
    this.#stopping.abort()
    await Promise.all(this.#running)
    await this.#reading
  }

  /** Reads anew which rules' small models are trusted. Never rejects; what was known stays. */
  async refresh(): Promise<void> {
    const { db, logger, pools } = this.#options
    this.#reading ??= readDistrust(db, pools.routes)
      .then((read) => {
        for (const rule of pools.routes) {
          const [before, now] = [this.#distrust(rule), read(rule)]
          if ((before === undefined) !== (now === undefined)) {
            logger.warn(
              { alias: rule.alias, reason: now ?? 'it agrees again' },
              'complexity rule falls back or returns',
            )
          }
          if (rule.complexity)
            this.#options.metrics.complexityFallback.set({ alias: rule.alias }, now === undefined ? 0 : 1)
        }
        this.#distrust = read
      })
      .catch((err: unknown) =>
        logger.warn({ reason: describeError(err) }, 'comparisons not read; what was known stays'),
      )
      .finally(() => {
        this.#reading = undefined
      })
    await this.#reading
  }

  /** Draws by the request's id whether its answer is compared; undefined for most, and while enough are under way. */
  draw(asked: {
    requestId: string
    chosen: Resolved['chosen']
    endpoint: InferenceEndpoint
    body: LiveBody
    residency: string | null
  }): DrawnCheck | undefined {
    const { chosen, endpoint, requestId } = asked
    if (!chosen || endpoint !== '/v1/chat/completions' || this.#running.size >= atOnceMax) return undefined
    if (this.#stopping.signal.aborted) return undefined
    if (shareOf(`check\n${requestId}`) >= chosen.rule.sampleShare) return undefined
    const recorder = makeAnswerRecorder({ endpoint, choices: 1, bytesMax: answerBytesMax })
    return {
      recorder,
      finish: () => {
        const { clock, logger, metrics } = this.#options
        const first = recorder.answer({ requestId, modelVersion: '', nowMs: clock.now() })
        const said = first && readSaid(first.text)
        if (said === undefined) return
        const running = this.#compare({ ...asked, chosen }, said)
          .catch((err: unknown) => {
            metrics.complexityChecks.inc({ alias: chosen.alias, verdict: 'error' })
            logger.warn({ requestId, reason: describeError(err) }, 'answers not compared')
          })
          .finally(() => this.#running.delete(running))
        this.#running.add(running)
      },
    }
  }

  async #compare(
    asked: Omit<Parameters<ComplexityChecks['draw']>[0], 'chosen'> & { chosen: NonNullable<Resolved['chosen']> },
    said: string,
  ): Promise<void> {
    const { calls, clock, db, metrics, models } = this.#options
    const { body, chosen, endpoint, residency, requestId } = asked
    const { alias } = chosen
    const { large, small } = chosen.rule
    const model = body.model === small ? large : small
    const id = newId('req_', clock.now())
    const wish = { model, residency, stream: body.stream, splitKey: id }
    const choice = await models.poolFor(wish)
    await ensureTenant(db, { id: judgeTenantId, name: 'Judge of answers' })
    const request = {
      ...{ requestId: id, tenantId: judgeTenantId, apiKeyId: judgeTenantId, endpoint, model, pool: choice.pool },
      ...({ lane: 'standard', stream: body.stream, estTokens: body.estTokens } as const),
      body: withModel(Buffer.from(body.text), model).toString(),
      route: `Compared with the answer of ${body.model} to ${requestId}.`,
    }
    const call = await calls.open(request, (tried) => models.livePoolFor({ ...wish, tried })?.pool)
    const recorder = makeAnswerRecorder({ endpoint, choices: 1, bytesMax: answerBytesMax })
    const drop = () => calls.close(call)
    this.#stopping.signal.addEventListener('abort', drop, { once: true })
    if (this.#stopping.signal.aborted) drop()
    try {
      for (;;) {
        const event = await call.next()
        if (event.type === 'data') call.commit()
        recorder.add(event)
        if (event.type === 'end') break
      }
    } finally {
      this.#stopping.signal.removeEventListener('abort', drop)
      calls.close(call)
    }
    const other = recorder.answer({ requestId: id, modelVersion: '', nowMs: clock.now() })
    const otherSaid = other && readSaid(other.text)
    if (otherSaid === undefined) return void metrics.complexityChecks.inc({ alias, verdict: 'error' })
    const agreed = answersAgree(said, otherSaid)
    metrics.complexityChecks.inc({ alias, verdict: agreed ? 'agreed' : 'differed' })
    await db.query(
      `INSERT INTO complexity_checks (request_id, alias, small, large, complexity, agreed) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT DO NOTHING`,
      [requestId, alias, small, large, chosen.complexity.score, agreed],
    )
  }
}

/** What the comparisons need. */
interface ComplexityOptions {
  db: Database
  pools: Pools
  clock: Clock
  logger: Logger
  metrics: GatewayMetrics
  calls: Pick<LiveCalls, 'open' | 'close'>
  models: Pick<ModelDirectory, 'poolFor' | 'livePoolFor'>
}
