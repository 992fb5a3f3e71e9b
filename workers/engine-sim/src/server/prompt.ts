import { hashBlocks, mix } from '@forebay/engine-model'
import { tokenize } from '../text/tokenizer.ts'
import { ApiError } from './api-error.ts'
import type { Sim } from './sim.ts'

/** A prompt as the engine takes it. */
export interface Prompt {
  /** Empty for a prompt that came as tokens. */
  readonly text: string
  readonly tokens: ArrayLike<number>
  readonly blockHashes: readonly number[]
}

/** Tokenizes a prompt and hashes its blocks for the prefix cache. */
export function preparePrompt(sim: Sim, prompt: string | number[], cacheSalt: string | null | undefined): Prompt {
  const tokens = typeof prompt === 'string' ? tokenize(prompt) : prompt
  if (tokens.length === 0) throw new ApiError(400, 'The prompt must not be empty.', 'prompt')
  const { limits, profile } = sim.settings
  return {
    text: typeof prompt === 'string' ? prompt : '',
    tokens,
    blockHashes: profile.kind === 'steps' ? hashBlocks(tokens, limits.blockSize, cacheSalt ?? '') : [],
  }
}

/** The seed of an answer: the same prompt, request seed and choice give the same text. */
export function answerSeed(sim: Sim, prompt: Prompt, requestSeed: number | null | undefined, choice: number): number {
  let seed = mix(requestSeed ?? sim.settings.seed, choice + 1)
  for (let i = 0; i < prompt.tokens.length; i++) seed = mix(seed, prompt.tokens[i] ?? 0)
  return seed
}

/** How many tokens the answer may have; throws vLLM's 400 when prompt and answer do not fit into the context. */
export function outputTokensMax(sim: Sim, promptTokens: number, asked: number | null | undefined): number {
  const { maxModelLen } = sim.settings.limits
  if (promptTokens + (asked ?? 1) <= maxModelLen) return asked ?? maxModelLen - promptTokens
  const wanted = asked ?? 0
  throw new ApiError(
    400,
    `This model's maximum context length is ${maxModelLen} tokens. However, you requested ${wanted} output tokens and your prompt contains at least ${promptTokens} input tokens, for a total of at least ${promptTokens + wanted} tokens. Please reduce the length of the input prompt or the number of requested output tokens.`,
    'input_tokens',
  )
}

/** Throws 404 for a model that is not served; answers the name to show. */
export function checkModel(sim: Sim, model: string | undefined): string {
  const { models } = sim.settings
  const name = model || models[0] || ''
  if (models.includes(name) || sim.residency.adapters.has(name)) return name
  throw new ApiError(404, `The model \`${name}\` does not exist.`, 'model')
}

/** Throws 503 when `count` more requests would pass `maxNumQueuedReqs`. */
export function checkAdmission(sim: Sim, count: number): void {
  const queued = sim.engine.running + sim.engine.waiting
  if (queued + count <= sim.settings.maxNumQueuedReqs) return
  sim.metrics.rejected += count
  throw new ApiError(503, `The engine has ${queued} requests queued, its limit is ${sim.settings.maxNumQueuedReqs}.`)
}
