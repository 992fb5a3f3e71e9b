import type { IncomingMessage, ServerResponse } from 'node:http'
import { planText } from '../text/plan-text.ts'
import { completionBody, parseBody, promptList } from './bodies.ts'
import { responseSchema } from './chat.ts'
import { failEarly } from './early-failure.ts'
import { type AnswerFormat, makeExchange } from './exchange.ts'
import { exactTokensIn } from './failures.ts'
import { makeGeneration } from './generation.ts'
import { completionLogprobs } from './logprobs.ts'
import { answerSeed, checkAdmission, checkModel, outputTokensMax, preparePrompt } from './prompt.ts'
import { scriptedAnswer } from './scripted-answer.ts'
import type { Sim } from './sim.ts'
import { requestIdOf } from './sim-log.ts'

/** vLLM's default here, unlike chat's. */
const maxTokensDefault = 16

/** POST /v1/completions: each prompt is its own engine request, the answer waits for all. */
export function answerCompletion(sim: Sim, req: IncomingMessage, res: ServerResponse, raw: unknown): void {
  const body = parseBody(completionBody, raw)
  const model = checkModel(sim, body.model)
  const prompts = promptList(body.prompt).map((prompt) => preparePrompt(sim, prompt, body.cache_salt))
  const asked = body.max_tokens ?? maxTokensDefault
  for (const { tokens } of prompts) outputTokensMax(sim, tokens.length, asked)
  const perPrompt = body.n ?? 1
  checkAdmission(sim, prompts.length * perPrompt)
  const failure = sim.failures.choose(prompts.map(({ text }) => text).join('\n'))
  if (failEarly(sim, failure)) return

  const serial = sim.nextSerial()
  const requestId = requestIdOf(req)
  const id = `cmpl-${requestId ?? serial}`
  const exchange = makeExchange(sim, res, {
    id,
    model,
    requestId,
    failure,
    format: makeCompletionFormat({ echo: body.echo === true, logprobs: typeof body.logprobs === 'number' }),
    stream: body.stream === true,
    includeUsage: body.stream_options?.include_usage === true,
    continuousUsage: body.stream_options?.continuous_usage_stats === true,
    promptTokens: prompts.reduce((sum, { tokens }) => sum + tokens.length, 0),
  })
  const generations = prompts.flatMap((prompt, promptIndex) =>
    Array.from({ length: perPrompt }, (_, choice) =>
      makeGeneration(sim, {
        index: promptIndex * perPrompt + choice,
        prompt,
        requestId,
        engineId: `${id}-${serial}-${promptIndex}-${choice}`,
        priority: body.priority ?? 0,
        onProgress: exchange.onProgress,
        plan: planText({
          seed: answerSeed(sim, prompt, body.seed, choice),
          maxTokens: asked,
          minTokens: body.min_tokens ?? 0,
          ignoreEos: body.ignore_eos === true,
          exactTokens: exactTokensIn(prompt.text),
          text: scriptedAnswer(prompt.text, body.seed),
          stop: [body.stop ?? []].flat(),
          jsonSchema: responseSchema(body),
        }),
      }),
    ),
  )
  exchange.start(generations)
}

function makeCompletionFormat(options: { echo: boolean; logprobs: boolean }): AnswerFormat {
  const logprobs = (pieces: readonly string[], offset: number) =>
    options.logprobs ? completionLogprobs(pieces, offset) : null
  return {
    object: 'text_completion',
    chunkObject: 'text_completion',
    piece({ index, prompt, plan }, at, text, reason) {
      const before = options.echo && at === 0 ? prompt.text : ''
      const offset = options.logprobs ? plan.pieces.slice(0, Math.max(0, at)).join('').length : 0
      return {
        index,
        text: before + text,
        logprobs: at < 0 ? null : logprobs([text], offset),
        finish_reason: reason,
        stop_reason: null,
      }
    },
    whole({ index, prompt, plan, generated }, reason) {
      const pieces = plan.pieces.slice(0, generated)
      return {
        index,
        text: (options.echo ? prompt.text : '') + pieces.join(''),
        logprobs: logprobs(pieces, 0),
        finish_reason: reason,
        stop_reason: null,
      }
    },
  }
}
