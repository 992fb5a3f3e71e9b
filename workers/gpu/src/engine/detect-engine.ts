import type { SeatBounds } from '@forebay/batcher'
import { ForebayError } from '@forebay/kernel'
import type { EngineClient } from './engine-client.ts'
import { field } from './outcome.ts'

/** What an engine is and serves. */
export interface EngineProfile {
  /** `vllm`, `engine-sim`, `ollama`, or `openai` for any other that speaks that API. */
  readonly kind: 'vllm' | 'engine-sim' | 'ollama' | 'openai'
  readonly models: { id: string; contextTokens: number | null; version: string | null }[]
}

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
  const answers = async (path: string, isIt: (value: unknown) => boolean) =>
    client.ask(path).then(
      ({ status, text }) => status === 200 && isIt(JSON.parse(text)),
      () => false,
    )
  if (reply.headers['x-engine-sim'] !== undefined) return { kind: 'engine-sim', models }
  if (await answers('/api/tags', (value) => Array.isArray(field(value, 'models')))) return { kind: 'ollama', models }
  if (await answers('/version', (value) => typeof field(value, 'version') === 'string')) return { kind: 'vllm', models }
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
// An engine that tells nothing of itself: as most do by default, it is taken to queue what is more.
const seatsUntold = 8

/**
 * How many requests an engine is given at once. `configured` is the most; below it the ceiling is found out where the
 * engine has metrics, since it batches continuously and tells when requests wait.
 */
export function seatBounds(kind: EngineProfile['kind'], configured: number | undefined): SeatBounds {
  const tells = kind === 'vllm' || kind === 'engine-sim'
  const max = configured ?? (tells ? seatsMax : seatsUntold)
  return { start: tells ? Math.min(max, seatsStart) : max, max }
}
