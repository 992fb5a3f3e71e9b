import type { Draw } from '@forebay/budgets'
import type { InferenceEndpoint, Usage } from '@forebay/contracts'
import { describeError, ForebayError } from '@forebay/kernel'
import { endUserHash, endUserOf } from '@forebay/plan'
import type { Resolved } from '@forebay/router'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Caller } from '../auth/authenticator.ts'
import { callerOf } from '../auth/require-caller.ts'
import type { AnswerRecorder } from '../cache/answer-recorder.ts'
import { bothRecorders } from '../cache/both-recorders.ts'
import { sendHit } from '../cache/send-hit.ts'
import type { App, GatewayDeps } from '../gateway-deps.ts'
import { asForebayError } from '../http/send-error.ts'
import { readResidency } from '../pools/residency.ts'
import { readAliasedBody } from './aliased-body.ts'
import { answerCall } from './answer-call.ts'
import type { LiveBody } from './live-body.ts'
import type { PoolChoice, PoolWish } from './pool-chooser.ts'
import { costOf, type ShownCost, wantsCost } from './shown-cost.ts'

const headers = z.object({
  'x-forebay-include-cost': z
    .enum(['true', 'false'])
    .optional()
    .describe(
      'true: usage also says cost (in currency units), cost_nano and cost_currency; in a stream, its usage chunk',
    ),
})

/** Adds a real-time endpoint. Its body reaches the engine as it came, so the schema is for the documentation alone. */
export function addLiveRoute(
  app: App,
  deps: GatewayDeps,
  options: { endpoint: InferenceEndpoint; schema: object },
): void {
  app.route({
    method: 'POST',
    url: options.endpoint,
    schema: { tags: ['Inference'], headers, ...options.schema },
    validatorCompiler: () => (data: unknown) => ({ value: data }),
    handler: (request, reply) => serveLive(options.endpoint, deps, request, reply),
  })
}

async function serveLive(
  endpoint: InferenceEndpoint,
  deps: GatewayDeps,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const startedMs = deps.clock.now()
  const caller = callerOf(request)
  if (!Buffer.isBuffer(request.body)) throw new ForebayError('invalid_json', 'The request needs a JSON body.')
  const { body, alias, chosen } = readAliasedBody({
    ...{ rules: deps.pools.routes, endpoint, bytes: request.body },
    ...{ tenantId: caller.tenantId, requestId: request.id, distrust: deps.complexity.distrust },
  })
  const { model, stream } = body
  const residency = readResidency(request.headers, caller)
  const wish = { model, residency, stream, splitKey: request.id, body: body.fields }
  const choice = deps.models.livePoolFor(wish) ?? (await deps.models.poolFor(wish))
  const { pool } = choice
  deps.metrics.routes.inc({ pool, reason: choice.reason })
  if (typeof choice.version === 'string') reply.header('x-forebay-model-version', choice.version)
  if (alias !== undefined) reply.header('x-forebay-model', body.model)
  deps.logger.debug({ requestId: request.id, alias, ...choice }, 'live request routed')
  const { tenantId } = caller
  const endUser = hashOfEndUser(caller, body)
  const asked = { requestId: request.id, tenantId, endpoint, body, pool, headers: request.headers, endUser }
  const draw = await deps.budgets.admit(caller, endpoint, body)
  if (draw?.softReached) reply.header('x-forebay-budget', 'soft-limit-reached')
  const turn = await undoing(
    draw,
    deps.answers.turn(asked, () => leavingOf(request, reply)),
  )
  reply.header(
    'x-forebay-cache',
    turn.kind === 'compute' ? turn.shown : turn.similarity === undefined ? 'hit' : 'semantic',
  )
  if (turn.kind === 'hit') {
    // An answer that cost no tokens counts as a request alone.
    await undoing(
      draw,
      deps.limits.admit(caller, 0, (headers) => void reply.headers(headers)),
    )
    const { answer, similarity } = turn
    return sendHit({ deps, request, reply, asked, answer, similarity, startedMs, draw })
  }
  const check = deps.complexity.draw({ requestId: request.id, chosen, endpoint, body, residency })
  let answeredBy: string | undefined
  try {
    const { recorder } = turn
    answeredBy = await compute({
      deps,
      request,
      reply,
      endpoint,
      body,
      choice,
      alias,
      byComplexity: complexityReason(chosen, body.model),
      wish,
      startedMs,
      endUser,
      recorder: bothRecorders(recorder, check?.recorder),
      draw,
    })
    check?.finish()
  } finally {
    turn.finish(answeredBy)
  }
}

/** Has the engine answer, and relays it. Answers which pool did, once the answer came to its end. */
async function compute(options: {
  deps: GatewayDeps
  request: FastifyRequest
  reply: FastifyReply
  endpoint: InferenceEndpoint
  body: LiveBody
  choice: PoolChoice
  /** Why its model answers and not the one that was asked for. */
  alias: string | undefined
  /** For the header: why a small or a large model. */
  byComplexity: string
  wish: PoolWish
  startedMs: number
  endUser: string | undefined
  recorder: Pick<AnswerRecorder, 'add'> | undefined
  draw: Draw | undefined
}): Promise<string> {
  const { body, choice, deps, draw, endpoint, recorder, reply, request, startedMs, wish } = options
  const { clock, metrics } = deps
  const caller = callerOf(request)
  const route = routeReason(options.alias, choice)
  const admission = await undoing(
    draw,
    deps.limits.admit(caller, body.estTokens, (headers) => void reply.headers(headers)),
  )

  const call = await deps.calls
    .open(
      {
        requestId: request.id,
        tenantId: caller.tenantId,
        apiKeyId: caller.keyId,
        endpoint,
        model: body.model,
        pool: choice.pool,
        lane: body.lane,
        body: body.text,
        stream: body.stream,
        estTokens: body.estTokens,
        ...(route === undefined ? {} : { route }),
        ...(draw ? { holds: [...draw.holds] } : {}),
        ...(options.endUser === undefined ? {} : { endUser: options.endUser }),
        ...(deps.cacheRules.of(caller.tenantId).keepLive ? { keepContent: true } : {}),
      },
      (tried) => deps.models.livePoolFor({ ...wish, tried })?.pool,
    )
    .catch((err: unknown) => {
      admission.settle(0)
      draw?.undo()
      throw err
    })
  const onClose = () => deps.calls.close(call)
  reply.raw.on('close', onClose)
  // The client may have gone before anybody listened.
  if (request.raw.socket.destroyed) onClose()
  let outcome = 'failed'
  try {
    const { usage, status } = await answerCall({
      call,
      reply,
      clock,
      stream: body.stream,
      hideUsage: body.hideUsage,
      recorder,
      costFor: wantsCost(request.headers) ? (usage) => costNow(usage, call.pool, options) : undefined,
      onFirstByte: () => {
        const [nowMs, { pool }] = [clock.now(), call]
        reply.header('openai-processing-ms', String(nowMs - startedMs))
        reply.header(
          'x-forebay-route',
          `${pool}; ${pool === choice.pool ? choice.reason : 'moved'}${options.byComplexity}`,
        )
        deps.models.latencies.observe({ pool, model: body.model, stream: body.stream }, nowMs - startedMs, nowMs)
        metrics.firstByteSeconds.observe({ endpoint }, (clock.now() - startedMs) / 1000)
      },
    })
    if (status < 400) outcome = 'succeeded'
    if (usage || status >= 400) admission.settle(tokensOf(usage))
    return call.pool
  } catch (err) {
    const error = asForebayError(err)
    if (error.code === 'client_closed') outcome = 'cancelled'
    else admission.settle(0)
    deps.logger.debug({ requestId: request.id, reason: describeError(err) }, 'a live request failed')
    throw err
  } finally {
    reply.raw.off('close', onClose)
    deps.calls.close(call)
    metrics.liveSeconds.observe({ endpoint, outcome }, (clock.now() - startedMs) / 1000)
  }
}

/** Waits; where that fails, what was drawn from a budget for the request is given back. */
function undoing<T>(draw: Draw | undefined, work: Promise<T>): Promise<T> {
  if (!draw) return work
  return work.catch((err: unknown) => {
    draw.undo()
    throw err
  })
}

/** What stands for whom the request is sent for; undefined when it names nobody. */
function hashOfEndUser({ endUserKey }: Caller, { fields }: LiveBody): string | undefined {
  const endUser = endUserOf(fields)
  return endUser === undefined ? undefined : endUserHash(endUserKey, endUser)
}

function costNow(
  usage: Usage,
  pool: string,
  asked: { deps: GatewayDeps; request: FastifyRequest; endpoint: InferenceEndpoint; body: LiveBody },
): ShownCost {
  const { body, deps, endpoint, request } = asked
  const { lane, model } = body
  const { tenantId } = callerOf(request)
  const { said: modelVersions } = deps.models.versionsOf(pool, model)
  const atMs = deps.clock.now()
  return costOf({ tenantId, endpoint, model, lane, source: 'engine', modelVersions, atMs }, usage, deps.prices.all)
}

/** Why a complexity rule chose its model, to follow the pool's reason; empty when none did. */
function complexityReason(chosen: Resolved['chosen'], model: string): string {
  if (!chosen) return ''
  const { complexity, rule } = chosen
  const easy = complexity.score < rule.threshold
  const told = `complexity ${complexity.score.toFixed(2)} ${easy ? 'below' : 'from'} ${rule.threshold}`
  return `; ${told}${easy && model === rule.large ? ', fallback' : ''}`
}

/** Why a request goes where it goes, for its record; undefined when there was nothing to choose. */
function routeReason(alias: string | undefined, { reason, version, why }: PoolChoice): string | undefined {
  if (alias === undefined && version === undefined && reason === 'only') return undefined
  const named = typeof version === 'string' ? `version ${version}; ` : ''
  return `${alias === undefined ? '' : `${alias} `}${named}${why}`
}

/** Aborts when the client closes its connection. */
function leavingOf(request: FastifyRequest, reply: FastifyReply): AbortSignal {
  const leaving = new AbortController()
  if (request.raw.socket.destroyed) leaving.abort()
  else reply.raw.once('close', () => leaving.abort())
  return leaving.signal
}

function tokensOf(usage: Usage | null): number {
  return usage ? usage.promptTokens + usage.completionTokens : 0
}
