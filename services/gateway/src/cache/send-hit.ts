import { createHash } from 'node:crypto'
import { type Answer, replayStream } from '@forebay/answer-cache'
import type { Draw } from '@forebay/budgets'
import { ForebayError } from '@forebay/kernel'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { callerOf } from '../auth/require-caller.ts'
import type { GatewayDeps } from '../gateway-deps.ts'
import { costOf, wantsCost, withCost } from '../live/shown-cost.ts'
import type { Asked } from './live-answers.ts'

/**
 * Answers a request with a stored answer, as JSON or as an event stream, and reports it to audit and ledger. The body
 * is the one that was computed, its `id` included; `x-request-id` is this request's own, `x-forebay-source-request-id`
 * that of the one it was computed for.
 */
export function sendHit(options: {
  deps: GatewayDeps
  request: FastifyRequest
  reply: FastifyReply
  asked: Asked
  answer: Answer
  /** How close the answered question is; undefined when it is the same request. */
  similarity: number | undefined
  startedMs: number
  draw: Draw | undefined
}): void {
  const { answer, asked, deps, draw, reply, request, similarity, startedMs } = options
  const { body, endpoint } = asked
  const nowMs = deps.clock.now()
  const source = similarity === undefined ? 'exact_cache' : 'semantic_cache'
  const { tenantId } = asked
  const modelVersions = answer.modelVersion ? [answer.modelVersion] : []
  const priced = { tenantId, endpoint, model: body.model, lane: body.lane, source, modelVersions, atMs: nowMs } as const
  // By what computing it used, as the ledger does.
  const whole = wantsCost(request.headers)
    ? withCost(answer.text, () => costOf(priced, answer.usage, deps.prices.all))
    : answer.text
  const text = body.stream ? replayStream(endpoint, whole, { includeUsage: !body.hideUsage }) : whole
  if (text === undefined) throw new ForebayError('internal', 'The stored answer cannot be replayed as a stream.')
  reply.headers({
    'x-forebay-source-request-id': answer.requestId,
    ...(similarity === undefined ? {} : { 'x-forebay-cache-similarity': similarity.toFixed(4) }),
    'openai-processing-ms': String(nowMs - startedMs),
    ...(body.stream ? { 'cache-control': 'no-cache' } : {}),
  })
  reply.type(body.stream ? 'text/event-stream; charset=utf-8' : 'application/json').send(Buffer.from(text))
  deps.metrics.firstByteSeconds.observe({ endpoint }, (nowMs - startedMs) / 1000)
  deps.metrics.liveSeconds.observe({ endpoint, outcome: 'succeeded' }, (nowMs - startedMs) / 1000)
  deps.reporter.report({
    requestId: asked.requestId,
    tenantId: asked.tenantId,
    apiKeyId: callerOf(request).keyId,
    batchId: null,
    line: null,
    chunk: null,
    customId: null,
    endpoint,
    model: body.model,
    pool: asked.pool,
    lane: body.lane,
    attempt: 1,
    outcome: 'succeeded',
    statusCode: 200,
    errorCode: null,
    usage: answer.usage,
    queuedMs: 0,
    firstTokenMs: nowMs - startedMs,
    durationMs: nowMs - startedMs,
    batcherMs: 0,
    finishedAtMs: nowMs,
    source,
    gpuMs: 0,
    modelVersion: answer.modelVersion || null,
    bodyHash: createHash('sha256').update(body.given).digest('hex'),
    ...(asked.endUser === undefined ? {} : { endUser: asked.endUser }),
    requestBytes: null,
    ...(draw ? { holds: [...draw.holds] } : {}),
    bytes: null,
  })
}
