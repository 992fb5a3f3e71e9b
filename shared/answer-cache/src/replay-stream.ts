import type { InferenceEndpoint } from '@forebay/contracts'
import { isObject, parseObject } from './answer.ts'

/**
 * A kept answer as the event stream that a streaming client expects: for each choice its content in one chunk and its
 * finish reason in another, the usage chunk if it was asked for, `[DONE]`. Undefined for what is no such answer.
 */
export function replayStream(
  endpoint: InferenceEndpoint,
  text: string,
  options: { includeUsage: boolean },
): string | undefined {
  const answer = parseObject(text)
  const choices = answer?.['choices']
  if (!answer || !Array.isArray(choices)) return undefined
  const chat = endpoint === '/v1/chat/completions'
  const { id, created, model, system_fingerprint: fingerprint } = answer
  const head = {
    id,
    object: chat ? 'chat.completion.chunk' : 'text_completion',
    created,
    model,
    ...(fingerprint === undefined ? {} : { system_fingerprint: fingerprint }),
  }
  const events: object[] = []
  for (const choice of choices) {
    if (!isObject(choice)) return undefined
    for (const piece of chat ? chatPieces(choice) : [choice]) events.push({ ...head, choices: [piece] })
  }
  if (options.includeUsage) events.push({ ...head, choices: [], usage: answer['usage'] ?? null })
  return `${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')}data: [DONE]\n\n`
}

function chatPieces(choice: Record<string, unknown>): object[] {
  const { index, message, logprobs, finish_reason: finishReason, ...rest } = choice
  const { tool_calls: toolCalls, ...said } = isObject(message) ? message : {}
  const delta = Object.fromEntries(Object.entries(said).filter(([name, value]) => name === 'content' || value !== null))
  const calls = Array.isArray(toolCalls) ? toolCalls.map((call: unknown, at) => ({ index: at, ...asObject(call) })) : []
  return [
    {
      index,
      delta: { ...delta, ...(calls.length > 0 ? { tool_calls: calls } : {}) },
      logprobs: logprobs ?? null,
      finish_reason: null,
    },
    { index, delta: {}, logprobs: null, finish_reason: finishReason, ...rest },
  ]
}

function asObject(value: unknown): object {
  return isObject(value) ? value : {}
}
