import { readCacheable } from '@forebay/answer-cache'
import type { InferenceEndpoint } from '@forebay/contracts'

const charactersMax = 8_000
/** Raised when the guards change: what older ones let in is not served by newer ones. */
const guardsVersion = 1

/** A request whose answer may serve another: all that must be equal, and the one text that may differ. */
export interface Question {
  /** System prompt, history, tools and parameters in canonical form, without the last user turn. */
  hard: string
  /** The last user turn. */
  text: string
}

/**
 * Reads the question of a request; undefined when none of its kind is served by similarity: other endpoints than
 * chat, several choices, a last turn that is not one text of a user, what is not deterministic.
 */
export function readQuestion(options: { endpoint: InferenceEndpoint; fields: object }): Question | undefined {
  if (options.endpoint !== '/v1/chat/completions') return undefined
  const fields = new Map<string, unknown>(Object.entries(options.fields))
  const messages = fields.get('messages')
  if (!Array.isArray(messages) || (fields.get('n') ?? 1) !== 1) return undefined
  const last: unknown = messages.at(-1)
  if (last === null || typeof last !== 'object' || !('role' in last) || last.role !== 'user') return undefined
  const text = 'content' in last ? textOf(last.content) : undefined
  if (text === undefined || text.trim() === '' || text.length > charactersMax) return undefined
  fields.set('messages', [...messages.slice(0, -1), { ...last, content: null }])
  const what = readCacheable({ endpoint: options.endpoint, text: '', fields: Object.fromEntries(fields) })
  if ('bypass' in what || !what.canonical.startsWith('{')) return undefined
  return { hard: `semantic-${guardsVersion}:${what.canonical}`, text }
}

/** What a whole chat answer says; undefined when it says nothing, calls tools or was cut off: then it serves nobody else. */
export function readSaid(answer: string): string | undefined {
  let body: unknown
  try {
    body = JSON.parse(answer)
  } catch {
    return undefined
  }
  const choices = memberOf(body, 'choices')
  const choice: unknown = Array.isArray(choices) && choices.length === 1 ? choices[0] : undefined
  if (memberOf(choice, 'finish_reason') !== 'stop') return undefined
  const message = memberOf(choice, 'message')
  const calls = memberOf(message, 'tool_calls')
  if (Array.isArray(calls) && calls.length > 0) return undefined
  const refusal = memberOf(message, 'refusal')
  const said = memberOf(message, 'content')
  return typeof said === 'string' && said.trim() !== '' && typeof refusal !== 'string' ? said : undefined
}

function textOf(content: unknown): string | undefined {
  if (typeof content === 'string') return content
  if (!Array.isArray(content) || content.length !== 1) return undefined
  const text = memberOf(content[0], 'type') === 'text' ? memberOf(content[0], 'text') : undefined
  return typeof text === 'string' ? text : undefined
}

function memberOf(value: unknown, name: string): unknown {
  return value !== null && typeof value === 'object' ? (value as Record<string, unknown>)[name] : undefined
}
