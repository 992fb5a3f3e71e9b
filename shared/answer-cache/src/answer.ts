import type { InferenceEndpoint, Usage } from '@forebay/contracts'

/** A whole answer as it is kept. */
export interface Answer {
  /** The request it was computed for. */
  requestId: string
  /** The JSON body of the answer, as an unstreamed client gets it. */
  text: string
  /** What computing it used. */
  usage: Usage
  /** Which version of the model answered, as far as it is known. */
  modelVersion: string
  storedAtMs: number
}

/** Why an answer is not kept. */
export type AnswerFault = 'not_json' | 'incomplete' | 'flagged'

const finished: ReadonlySet<unknown> = new Set(['stop', 'length', 'tool_calls'])

/** Undefined for a whole, unflagged answer of an endpoint; else what keeps it from being cached. `choices` is how many were asked for. */
export function checkAnswer(
  endpoint: InferenceEndpoint,
  text: string,
  options: { choices: number },
): AnswerFault | undefined {
  const body = parseObject(text)
  if (!body) return 'not_json'
  if ('error' in body && body['error'] !== null && body['error'] !== undefined) return 'incomplete'
  if (endpoint === '/v1/embeddings') {
    const data = body['data']
    return Array.isArray(data) && data.length > 0 ? undefined : 'incomplete'
  }
  const choices = body['choices']
  if (!Array.isArray(choices) || choices.length === 0) return 'incomplete'
  if (endpoint === '/v1/chat/completions' && choices.length !== options.choices) return 'incomplete'
  const reasons = choices.map((choice: unknown) => (isObject(choice) ? choice['finish_reason'] : undefined))
  if (reasons.includes('content_filter')) return 'flagged'
  return reasons.every((reason) => finished.has(reason)) ? undefined : 'incomplete'
}

/** The usage that an OpenAI answer states; undefined when it states none. */
export function readUsage(text: string): Usage | undefined {
  const usage = parseObject(text)?.['usage']
  if (!isObject(usage)) return undefined
  const promptTokens = whole(usage['prompt_tokens'])
  if (promptTokens === undefined) return undefined
  return {
    promptTokens,
    cachedTokens: whole(member(usage['prompt_tokens_details'], 'cached_tokens')) ?? null,
    completionTokens: whole(usage['completion_tokens']) ?? 0,
    reasoningTokens: whole(member(usage['completion_tokens_details'], 'reasoning_tokens')) ?? 0,
  }
}

/** The object that a JSON text is; undefined when it is none. */
export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** True for an object that is no array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

function member(value: unknown, name: string): unknown {
  return isObject(value) ? value[name] : undefined
}

function whole(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}
