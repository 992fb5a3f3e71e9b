import type { IncomingMessage, ServerResponse } from 'node:http'
import { embed } from '../text/embed.ts'
import { ApiError } from './api-error.ts'
import { embeddingBody, parseBody, promptList } from './bodies.ts'
import { failEarly } from './early-failure.ts'
import type { EngineWork } from './engine.ts'
import { sendError, sendText } from './http.ts'
import { checkAdmission, checkModel, outputTokensMax, preparePrompt } from './prompt.ts'
import type { Sim } from './sim.ts'
import { requestIdOf } from './sim-log.ts'

/** POST /v1/embeddings: each input is one prefill in the engine, the answer waits for all. */
export function answerEmbedding(sim: Sim, req: IncomingMessage, res: ServerResponse, raw: unknown): void {
  const body = parseBody(embeddingBody, raw)
  const model = checkModel(sim, body.model)
  const inputs = promptList(body.input)
  const prompts = inputs.map((input) => preparePrompt(sim, input, undefined))
  for (const { tokens } of prompts) outputTokensMax(sim, tokens.length, 1)
  checkAdmission(sim, prompts.length)
  const failure = sim.failures.choose(prompts.map(({ text }) => text).join('\n'))
  if (failEarly(sim, failure)) return

  const serial = sim.nextSerial()
  const requestId = requestIdOf(req)
  const promptTokens = prompts.reduce((sum, { tokens }) => sum + tokens.length, 0)
  const unfinished = new Set<EngineWork>()

  const complete = () => {
    sim.open.delete(abort)
    if (failure === 'reset') return res.socket?.resetAndDestroy()
    if (failure === 'hang-stream') return
    if (failure === 'stream-error' || failure === 'abort') {
      return sendError(res, new ApiError(500, 'Injected failure: the engine failed while embedding.'))
    }
    const vectors = inputs.map((input) =>
      embed(typeof input === 'string' ? input : input.join(' '), body.dimensions ?? sim.settings.embeddingDimensions),
    )
    const text = JSON.stringify({
      id: `embd-${requestId ?? serial}`,
      object: 'list',
      created: Math.floor(sim.settings.clock.now() / 1000),
      model,
      system_fingerprint: 'engine-sim',
      data: vectors.map((vector, index) => ({
        index,
        object: 'embedding',
        embedding: body.encoding_format === 'base64' ? Buffer.from(vector.buffer).toString('base64') : [...vector],
      })),
      usage: { prompt_tokens: promptTokens, total_tokens: promptTokens, completion_tokens: 0 },
    })
    return sendText(res, 200, 'application/json', failure === 'truncate' ? text.slice(0, text.length / 2) : text)
  }
  const abort = () => {
    sim.open.delete(abort)
    for (const work of unfinished) {
      sim.engine.abort(work)
      sim.log.ended(requestId, 'aborted')
    }
    unfinished.clear()
    sendError(res, new ApiError(503, 'The engine is shutting down.'))
  }

  const works = prompts.map((prompt, index): EngineWork => {
    const work: EngineWork = {
      id: `embd-${serial}-${index}`,
      promptTokens: prompt.tokens.length,
      outputTokens: 1,
      priority: body.priority ?? 0,
      blockHashes: prompt.blockHashes,
      onProgress(_generated, cachedTokens) {
        unfinished.delete(work)
        sim.metrics.promptTokens += prompt.tokens.length
        sim.log.began(requestId, prompt.tokens.length, cachedTokens)
        sim.log.ended(requestId, 'finished')
        if (unfinished.size === 0) complete()
      },
    }
    return work
  })
  for (const work of works) unfinished.add(work)
  res.on('close', () => {
    if (sim.open.has(abort)) abort()
  })
  if (res.destroyed) return
  sim.open.add(abort)
  if (sim.stopping) abort()
  else for (const work of works) sim.engine.submit(work)
}
