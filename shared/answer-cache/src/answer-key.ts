import { createHash } from 'node:crypto'
import type { InferenceEndpoint } from '@forebay/contracts'
import { canonicalJson } from './canonical-json.ts'

/**
 * Fields of a body that cannot change what the model answers. Everything else is in the key, also what is not known
 * here: an engine may understand it.
 */
const withoutEffect: ReadonlySet<string> = new Set([
  // How the answer is carried: a stored answer is replayed in either form.
  'stream',
  'stream_options',
  // Who asks, and what for: labels for logs and abuse reports. The tenant is in the key apart.
  'user',
  'metadata',
  'safety_identifier',
  'store',
  // When it runs, not what comes out.
  'service_tier',
  'priority',
  // Which prefix-cache bucket the prompt is looked for in; prefix caching does not change tokens.
  'prompt_cache_key',
  'prompt_cache_retention',
  // vLLM's name for the request.
  'request_id',
])

/**
 * Where the order of an object's keys reaches the model: a chat template prints tools as given, and a guided decoder
 * emits a schema's properties in their order. Everywhere else keys are sorted.
 */
const sortedWithin: ReadonlySet<string> = new Set(['messages', 'logit_bias', 'stop', 'prompt', 'input'])

/** What of a request decides its answer, as one text; or why its answer is not cached. */
export type CacheableBody = { canonical: string } | { bypass: 'not_deterministic' | 'continuous_usage' }

/**
 * Reads whether a request's answer may be cached: embeddings always, a generation only with temperature 0 or a seed.
 * `text` is the body as it came, `fields` the same parsed.
 */
export function readCacheable(options: { endpoint: InferenceEndpoint; text: string; fields: object }): CacheableBody {
  const fields = new Map<string, unknown>(Object.entries(options.fields))
  if (options.endpoint !== '/v1/embeddings') {
    const seeded = typeof fields.get('seed') === 'number'
    if (fields.get('temperature') !== 0 && !seeded) return { bypass: 'not_deterministic' }
    // Usage in every chunk depends on how the engine cut the answer, which is not kept.
    if (asksForContinuousUsage(fields.get('stream_options'))) return { bypass: 'continuous_usage' }
  }
  const parts: string[] = []
  const names = [...fields.keys()].filter((name) => !withoutEffect.has(name)).sort()
  for (const name of names) {
    const text = canonicalJson(fields.get(name), { sorted: sortedWithin.has(name) })
    // Then only the very same bytes are the same request.
    if (text === undefined) return { canonical: `bytes:${options.text}` }
    parts.push(`${JSON.stringify(name)}:${text}`)
  }
  return { canonical: `{${parts.join(',')}}` }
}

/**
 * The key of an answer: SHA-256 over everything that can change it, in hex. `epoch` is bumped when what was stored
 * must not be served any more; `modelVersion` is that which would answer now.
 */
export function answerKey(options: {
  tenantId: string
  endpoint: InferenceEndpoint
  model: string
  modelVersion: string
  epoch: string
  canonical: string
}): string {
  const { tenantId, endpoint, model, modelVersion, epoch, canonical } = options
  const head = JSON.stringify(['forebay-answer-1', tenantId, endpoint, model, modelVersion, epoch])
  return createHash('sha256').update(head).update('\n').update(canonical).digest('hex')
}

function asksForContinuousUsage(options: unknown): boolean {
  return (
    options !== null &&
    typeof options === 'object' &&
    'continuous_usage_stats' in options &&
    options.continuous_usage_stats === true
  )
}
