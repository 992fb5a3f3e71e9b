import type { InferenceEndpoint } from '@forebay/contracts'

/** Lengths, in UTF-16 units of prompt text, at which prefixes are compared: multiples of 128. */
export const prefixCuts: readonly number[] = [128, 256, 512, 1024, 2048, 4096, 8192, 16_384]

/**
 * Hashes the start of a request's prompt at each of the cuts, into `out`; 0 where the prompt is shorter. Embeddings
 * share nothing between requests, so they have none.
 */
export function hashPrefixes(body: Record<string, unknown>, endpoint: InferenceEndpoint, out: Uint32Array): void {
  out.fill(0)
  const state: HashState = { hash: 0x811c9dc5, units: 0, out }
  if (endpoint === '/v1/chat/completions' && Array.isArray(body['messages'])) {
    for (const message of body['messages']) if (!feedMessage(state, message)) return
  } else if (endpoint === '/v1/completions') {
    const prompt: unknown = Array.isArray(body['prompt']) ? body['prompt'][0] : body['prompt']
    if (typeof prompt === 'string') feed(state, prompt)
  }
}

/** Bytes of a line that are inline media: they cost an engine far fewer tokens than their length says. */
export function mediaBytes(body: Record<string, unknown>): number {
  let bytes = 0
  for (const message of asArray(body['messages'])) {
    for (const part of asArray(field(message, 'content'))) {
      const url = field(field(part, 'image_url'), 'url') ?? field(field(part, 'input_audio'), 'data')
      if (typeof url === 'string') bytes += url.length
    }
  }
  return bytes
}

interface HashState {
  hash: number
  units: number
  out: Uint32Array
}

/** False when the last cut is reached. */
function feedMessage(state: HashState, message: unknown): boolean {
  const role = field(message, 'role')
  const content = field(message, 'content')
  if (!feed(state, typeof role === 'string' ? `\0${role}\0` : '\0')) return false
  if (typeof content === 'string') return feed(state, content)
  for (const part of asArray(content)) {
    const text = field(part, 'text')
    if (!feed(state, typeof text === 'string' ? text : JSON.stringify(part))) return false
  }
  return true
}

// FNV-1a over UTF-16 units, with a final mix so that the low bits are usable in a table.
function feed(state: HashState, text: string): boolean {
  const last = prefixCuts.at(-1) ?? 0
  const end = Math.min(text.length, last - state.units)
  // Locals, not fields: this loop is most of what a prompt costs.
  let { hash, units } = state
  for (let i = 0; i < end; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
    units++
    if ((units & 127) !== 0) continue
    const level = prefixCuts.indexOf(units)
    if (level !== -1) state.out[level] = mix(hash)
  }
  state.hash = hash
  state.units = units
  return state.units < last
}

function mix(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0 || 1
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}

function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
