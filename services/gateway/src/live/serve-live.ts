import type { InferenceEndpoint, Usage } from '@forebay/contracts'
import { describeError, ForebayError } from '@forebay/kernel'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { callerOf } from '../auth/require-caller.ts'
import type { App, GatewayDeps } from '../gateway-deps.ts'
import { asForebayError } from '../http/send-error.ts'
import { readResidency } from '../pools/residency.ts'
import { answerCall } from './answer-call.ts'
import { readLiveBody } from './live-body.ts'

/** Adds a real-time endpoint. Its body reaches the engine as it came, so the schema is for the documentation alone. */
export function addLiveRoute(
  app: App,
  deps: GatewayDeps,
  options: { endpoint: InferenceEndpoint; schema: object },
): void {
  app.route({
    method: 'POST',
    url: options.endpoint,
    schema: { tags: ['Inference'], ...options.schema },
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
  const { clock, metrics } = deps
  const startedMs = clock.now()
  const caller = callerOf(request)
  if (!Buffer.isBuffer(request.body)) throw new ForebayError('invalid_json', 'The request needs a JSON body.')
  const body = readLiveBody(endpoint, request.body)
  const wish = { model: body.model, residency: readResidency(request.headers, caller) }
  const pool = await deps.models.poolFor(wish)
  const admission = await deps.limits.admit(caller, body.estTokens, (headers) => void reply.headers(headers))

  const call = await deps.calls
    .open(
      {
        requestId: request.id,
        tenantId: caller.tenantId,
        apiKeyId: caller.keyId,
        endpoint,
        model: body.model,
        pool,
        lane: body.lane,
        body: body.text,
        stream: body.stream,
        estTokens: body.estTokens,
      },
      (tried) => deps.models.livePoolFor({ ...wish, tried }),
    )
    .catch((err: unknown) => {
      admission.settle(0)
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
      onFirstByte: () => {
        reply.header('openai-processing-ms', String(clock.now() - startedMs))
        metrics.firstByteSeconds.observe({ endpoint }, (clock.now() - startedMs) / 1000)
      },
    })
    if (status < 400) outcome = 'succeeded'
    if (usage || status >= 400) admission.settle(tokensOf(usage))
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

function tokensOf(usage: Usage | null): number {
  return usage ? usage.promptTokens + usage.completionTokens : 0
}
