import type { IncomingMessage, ServerResponse } from 'node:http'
import { planText } from '../text/plan-text.ts'
import { renderChat } from '../text/tokenizer.ts'
import { type ChatBody, chatBody, parseBody, textOf } from './bodies.ts'
import { failEarly } from './early-failure.ts'
import { type AnswerFormat, makeExchange } from './exchange.ts'
import { exactTokensIn } from './failures.ts'
import { type FinishReason, type Generation, makeGeneration } from './generation.ts'
import { chatLogprobs } from './logprobs.ts'
import { answerSeed, checkAdmission, checkModel, outputTokensMax, preparePrompt } from './prompt.ts'
import { scriptedAnswer } from './scripted-answer.ts'
import type { Sim } from './sim.ts'
import { requestIdOf } from './sim-log.ts'

/** POST /v1/chat/completions. */
export function answerChat(sim: Sim, req: IncomingMessage, res: ServerResponse, raw: unknown): void {
  const body = parseBody(chatBody, raw)
  const model = checkModel(sim, body.model)
  const text = renderChat(body.messages.map(({ role, content }) => ({ role, text: textOf(content) })))
  const prompt = preparePrompt(sim, text, body.cache_salt)
  const maxTokens = outputTokensMax(sim, prompt.tokens.length, body.max_completion_tokens ?? body.max_tokens)
  const count = body.n ?? 1
  checkAdmission(sim, count)
  const failure = sim.failures.choose(text)
  if (failEarly(sim, failure)) return

  const serial = sim.nextSerial()
  const requestId = requestIdOf(req)
  const id = `chatcmpl-${requestId ?? serial}`
  const tool = chooseTool(body)
  const exchange = makeExchange(sim, res, {
    id,
    model,
    requestId,
    failure,
    format: makeChatFormat({
      id,
      toolName: tool?.name,
      forced: tool?.forced ?? false,
      logprobs: body.logprobs === true,
    }),
    stream: body.stream === true,
    includeUsage: body.stream_options?.include_usage === true,
    continuousUsage: body.stream_options?.continuous_usage_stats === true,
    promptTokens: prompt.tokens.length,
  })
  const generations = Array.from({ length: count }, (_, index) =>
    makeGeneration(sim, {
      index,
      prompt,
      requestId,
      engineId: `${id}-${serial}-${index}`,
      priority: body.priority ?? 0,
      onProgress: exchange.onProgress,
      plan: planText({
        seed: answerSeed(sim, prompt, body.seed, index),
        maxTokens,
        minTokens: body.min_tokens ?? 0,
        ignoreEos: body.ignore_eos === true,
        exactTokens: exactTokensIn(text),
        text: scriptedAnswer(text, body.seed),
        stop: [body.stop ?? []].flat(),
        jsonSchema: tool ? (tool.parameters ?? { type: 'object' }) : responseSchema(body),
      }),
    }),
  )
  exchange.start(generations)
}

interface ChosenTool {
  name: string
  parameters: unknown
  /** Named by the client; the finish reason is then the engine's own. */
  forced: boolean
}

/** The tool to call: the named one, or the first when a call is required; `auto` answers in text. */
function chooseTool({ tools, tool_choice: choice }: ChatBody): ChosenTool | undefined {
  const named = typeof choice === 'object' ? choice?.function.name : undefined
  const tool = tools?.find(({ function: { name } }) => (named ? name === named : choice === 'required'))
  return tool && { name: tool.function.name, parameters: tool.function.parameters, forced: named !== undefined }
}

/** The schema that `response_format` asks for, if any. */
export function responseSchema({ response_format: format }: Pick<ChatBody, 'response_format'>): unknown {
  if (format?.type === 'json_object') return { type: 'object', properties: { answer: { type: 'string' } } }
  return format?.type === 'json_schema' ? (format.json_schema?.schema ?? { type: 'object' }) : undefined
}

function makeChatFormat(options: {
  id: string
  toolName: string | undefined
  forced: boolean
  logprobs: boolean
}): AnswerFormat {
  const { toolName } = options
  const call = (index: number, args: string) => ({
    id: `chatcmpl-tool-${options.id}-${index}`,
    type: 'function',
    function: { name: toolName, arguments: args },
  })
  // As in vLLM: a call the model was made to choose ends as `tool_calls`, one the client named as `stop`.
  const shown = (reason: FinishReason | null) =>
    reason === 'stop' && toolName && !options.forced ? 'tool_calls' : reason
  const choice = (generation: Generation, more: object) => ({ index: generation.index, ...more })
  const logprobs = (pieces: readonly string[]) => (options.logprobs ? chatLogprobs(pieces) : null)

  return {
    object: 'chat.completion',
    chunkObject: 'chat.completion.chunk',
    first: (generation) =>
      choice(generation, {
        delta: toolName
          ? { role: 'assistant', tool_calls: [{ index: 0, ...call(generation.index, '') }] }
          : { role: 'assistant', content: '' },
        logprobs: null,
        finish_reason: null,
      }),
    piece: (generation, _at, text, reason) =>
      choice(generation, {
        delta: toolName ? { tool_calls: [{ index: 0, function: { arguments: text } }] } : { content: text },
        logprobs: reason === 'abort' ? null : logprobs([text]),
        finish_reason: shown(reason),
      }),
    whole(generation, reason) {
      const pieces = generation.plan.pieces.slice(0, generation.generated)
      const text = pieces.join('')
      return choice(generation, {
        message: toolName
          ? { role: 'assistant', content: null, tool_calls: [call(generation.index, text)] }
          : { role: 'assistant', content: text },
        logprobs: logprobs(pieces),
        finish_reason: shown(reason),
        stop_reason: null,
      })
    },
  }
}
