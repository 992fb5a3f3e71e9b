import { estimatePromptTokens } from '@forebay/tokens'
import { field } from '../engine/outcome.ts'

/** An embeddings request, taken apart so that its inputs can share an engine call with others'. */
export interface EmbeddingCall {
  readonly inputs: readonly (string | number[])[]
  /** Of each input: exact where it came as tokens, else estimated. */
  readonly tokens: readonly number[]
  /** The members that are the same for all who share a call. */
  readonly shared: Readonly<Record<string, unknown>>
  /** Equal for requests that may share one. */
  readonly key: string
}

/** Undefined for a body whose inputs are not plain: it goes to the engine as it is. */
export function readEmbeddingCall(body: Buffer): EmbeddingCall | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(body.toString())
  } catch {
    return undefined
  }
  const inputs = inputsOf(field(parsed, 'input'))
  if (inputs === undefined) return undefined
  // Who the user is is nothing to the answer.
  const { input: _, user: __, ...shared } = parsed as Record<string, unknown>
  const kind = typeof inputs[0] === 'string' ? 'text' : 'tokens'
  return {
    inputs,
    tokens: inputs.map((input) =>
      typeof input === 'string' ? estimatePromptTokens(Buffer.byteLength(input)) : input.length,
    ),
    shared,
    key: `${kind} ${JSON.stringify(Object.entries(shared).sort(([a], [b]) => (a < b ? -1 : 1)))}`,
  }
}

/** One body for all of them, in their order. */
export function joinCalls(calls: readonly EmbeddingCall[]): Buffer {
  return Buffer.from(JSON.stringify({ ...calls[0]?.shared, input: calls.flatMap(({ inputs }) => inputs) }))
}

function inputsOf(input: unknown): (string | number[])[] | undefined {
  if (typeof input === 'string') return [input]
  if (!Array.isArray(input) || input.length === 0) return undefined
  if (input.every((item) => typeof item === 'string')) return input
  if (input.every((item) => typeof item === 'number')) return [input]
  const isTokens = (item: unknown) => Array.isArray(item) && item.every((token) => typeof token === 'number')
  return input.every(isTokens) ? (input as number[][]) : undefined
}
