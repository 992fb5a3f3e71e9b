import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import { renderChat, tokenize } from '../text/tokenizer.ts'
import { ApiError } from './api-error.ts'
import { parseBody, textOf, tokenizeBody } from './bodies.ts'
import { answerChat } from './chat.ts'
import { answerCompletion } from './completions.ts'
import { answerEmbedding } from './embeddings.ts'
import { failureRatesSchema } from './failures.ts'
import { readJson, sendJson, sendText } from './http.ts'
import { renderMetrics } from './metrics.ts'
import { checkModel } from './prompt.ts'
import { answerLoad, answerResidency, answerSleep, answerUnload, answerWake, checkAwake } from './residency.ts'
import type { Sim } from './sim.ts'

type Route = (sim: Sim, req: IncomingMessage, res: ServerResponse) => void | Promise<void>

type Answer = (sim: Sim, req: IncomingMessage, res: ServerResponse, body: unknown) => void

/** A generation route: counted as received, then read and answered. */
function generating(answer: Answer): Route {
  return async (sim, req, res) => {
    sim.log.received()
    const body = await readJson(req)
    checkAwake(sim)
    answer(sim, req, res, body)
  }
}

const routes: Record<string, Route> = {
  'POST /v1/chat/completions': generating(answerChat),
  'POST /v1/completions': generating(answerCompletion),
  'POST /v1/embeddings': generating(answerEmbedding),
  'GET /v1/models': (sim, _req, res) => sendJson(res, 200, listModels(sim)),
  'GET /health': (_sim, _req, res) => sendText(res, 200, 'text/plain', ''),
  'GET /ping': (_sim, _req, res) => sendText(res, 200, 'text/plain', ''),
  'GET /version': (_sim, _req, res) => sendJson(res, 200, { version: 'engine-sim' }),
  'GET /load': (sim, _req, res) => sendJson(res, 200, { server_load: sim.open.size }),
  'GET /metrics': (sim, _req, res) =>
    sendText(
      res,
      200,
      'text/plain; version=0.0.4; charset=utf-8',
      renderMetrics(sim.metrics, sim.engine, sim.settings, sim.residency.asleep),
    ),
  'POST /tokenize': answerTokenize,
  'POST /sleep': answerSleep,
  'POST /wake_up': answerWake,
  'GET /is_sleeping': (sim, _req, res) => sendJson(res, 200, { is_sleeping: sim.residency.asleep }),
  'POST /v1/load_lora_adapter': answerLoad,
  'POST /v1/unload_lora_adapter': answerUnload,
  'GET /sim/residency': answerResidency,
  'GET /sim/log': (sim, _req, res) => sendJson(res, 200, sim.log),
  'GET /sim/failures': (sim, _req, res) => sendJson(res, 200, showFailures(sim)),
  'POST /sim/failures': changeFailures,
}

/** Finds and runs the route; throws 401 for a missing key under /v1 and 404 for a path that is not served. */
export async function route(sim: Sim, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const path = req.url?.split('?')[0] ?? '/'
  const { apiKey } = sim.settings
  if (apiKey !== undefined && path.startsWith('/v1') && req.headers.authorization !== `Bearer ${apiKey}`) {
    // vLLM's form here is a bare string.
    return sendJson(res, 401, { error: 'Unauthorized' })
  }
  const found = routes[`${req.method} ${path}`]
  if (!found) throw new ApiError(404, `Not Found: ${req.method} ${path}`)
  await found(sim, req, res)
}

function listModels(sim: Sim): object {
  const created = Math.floor(sim.settings.clock.now() / 1000)
  const base = sim.settings.models[0] ?? ''
  const all = [
    ...sim.settings.models.map((id) => ({ id, parent: null as string | null })),
    ...[...sim.residency.adapters].map((id) => ({ id, parent: base })),
  ]
  const data = all.map(({ id, parent }) => ({
    id,
    object: 'model',
    created,
    owned_by: 'engine-sim',
    root: id,
    parent,
    max_model_len: sim.settings.limits.maxModelLen,
  }))
  return { object: 'list', data }
}

async function answerTokenize(sim: Sim, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const body = parseBody(tokenizeBody, await readJson(req))
  checkModel(sim, body.model)
  const text = body.messages
    ? renderChat(body.messages.map(({ role, content }) => ({ role, text: textOf(content) })))
    : body.prompt
  if (text === undefined) throw new ApiError(400, 'Give prompt or messages.', 'prompt')
  const tokens = [...tokenize(text)]
  sendJson(res, 200, {
    count: tokens.length,
    max_model_len: sim.settings.limits.maxModelLen,
    tokens,
    token_strs: null,
  })
}

const failuresBody = failureRatesSchema.extend({ now: z.enum(['crash', 'wedge', 'unwedge']).optional() })

/** Replaces all rates, and with `now` crashes, wedges or frees the engine at once; `now` alone leaves the rates. */
async function changeFailures(sim: Sim, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { now, ...rates } = parseBody(failuresBody, await readJson(req))
  if (now === undefined || Object.keys(rates).length > 0) sim.failures.rates = rates
  if (now === 'crash') return sim.crash()
  if (now) sim.engine.wedged = now === 'wedge'
  sendJson(res, 200, showFailures(sim))
}

function showFailures(sim: Sim): object {
  return { rates: sim.failures.rates, wedged: sim.engine.wedged }
}
