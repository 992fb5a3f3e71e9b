import type { SeatBounds } from '@forebay/batcher'
import { ForebayError } from '@forebay/kernel'
import type { EngineClient } from './engine-client.ts'
import { field } from './outcome.ts'

/** What an engine is and serves. */
export interface EngineProfile {
  /** `openai` is any other that speaks that API. */
  readonly kind: 'vllm' | 'engine-sim' | 'sglang' | 'tgi' | 'llamacpp' | 'ollama' | 'openai'
  readonly models: { id: string; contextTokens: number | null; version: string | null }[]
  /** How many requests it runs at once, where it says so. */
  readonly slots?: number
}

type Ask = (path: string) => Promise<unknown>

/** Asks an engine what it is. Rejects while it is not up, or does not accept the key. */
export async function detectEngine(client: Pick<EngineClient, 'ask'>): Promise<EngineProfile> {
  const reply = await client.ask('/v1/models')
  if (reply.status !== 200) {
    throw new ForebayError('unavailable', `The engine answered /v1/models with status ${reply.status}.`)
  }
  const list = field(JSON.parse(reply.text), 'data')
  if (!Array.isArray(list)) throw new ForebayError('unavailable', 'The engine lists no models at /v1/models.')
  const models = list.flatMap((model: unknown) => {
    const [id, context] = [field(model, 'id'), field(model, 'max_model_len')]
    return typeof id === 'string'
      ? [{ id, contextTokens: typeof context === 'number' ? context : null, version: versionOf(model) }]
      : []
  })
  if (reply.headers['x-engine-sim'] !== undefined) return { kind: 'engine-sim', models }
  /** The JSON there; undefined when there is none. */
  const ask: Ask = (path) =>
    client.ask(path).then(
      ({ status, text }) => (status === 200 ? JSON.parse(text) : undefined),
      () => undefined,
    )
  const owner = list.map((model: unknown) => field(model, 'owned_by')).find((found) => typeof found === 'string')
  if (owner === 'sglang' || owner === 'vllm') return { kind: owner, models }
  // Asked before Ollama's own path, which llama.cpp answers too.
  if (owner === 'llamacpp') {
    const slots = field(await ask('/props'), 'total_slots')
    return { kind: 'llamacpp', models, ...(typeof slots === 'number' && slots > 0 ? { slots } : {}) }
  }
  if (Array.isArray(field(await ask('/api/tags'), 'models'))) return { kind: 'ollama', models }
  if (typeof field(await ask('/version'), 'version') === 'string') return { kind: 'vllm', models }
  if (typeof field(await ask('/info'), 'max_concurrent_requests') === 'number') return { kind: 'tgi', models }
  return { kind: 'openai', models }
}

/** What tells one version of a model from another: the weights it was loaded from (vLLM's `root`) and its context. */
function versionOf(model: unknown): string | null {
  const [root, version, context] = [field(model, 'root'), field(model, 'version'), field(model, 'max_model_len')]
  const name = typeof version === 'string' ? version : typeof root === 'string' ? root : undefined
  if (name === undefined) return null
  return (typeof context === 'number' ? `${name}@${context}` : name).slice(0, 256)
}

// vLLM's own default on a large GPU is 1024; beyond a few thousand, what a request costs here is the limit.
const seatsMax = 2_048
// Where doubling begins: a small engine is not swamped before its metrics have told how many seats it has.
const seatsStart = 32
// An engine that tells nothing of itself: as most do by default, it is taken to queue what is more, until its answers
// show that it does not.
const seatsUntold = { start: 8, max: 256, untold: true }
const telling = new Set<EngineProfile['kind']>(['vllm', 'engine-sim', 'sglang', 'tgi'])

/**
 * How many requests an engine is given at once. `configured` is the most; below it the ceiling is found out: by its
 * metrics where the engine has them, since it batches continuously and tells when requests wait, else by how long its
 * answers take.
 */
export function seatBounds(
  { kind, slots }: Pick<EngineProfile, 'kind' | 'slots'>,
  configured: number | undefined,
): SeatBounds {
  if (slots !== undefined) {
    const max = configured ?? slots
    return { start: max, max }
  }
  if (!telling.has(kind)) return configured === undefined ? seatsUntold : { start: configured, max: configured }
  const max = configured ?? seatsMax
  return { start: Math.min(max, seatsStart), max }
}
