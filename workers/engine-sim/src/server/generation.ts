import type { TextPlan } from '../text/plan-text.ts'
import type { EngineWork } from './engine.ts'
import type { Prompt } from './prompt.ts'
import type { Sim } from './sim.ts'

/** Why a generation ended, in vLLM's words; `tool_calls` is put in its place where the answer is shown. */
export type FinishReason = 'stop' | 'length' | 'abort'

/** One answer being generated: a choice of one prompt. */
export interface Generation {
  /** Its place in `choices`. */
  readonly index: number
  readonly prompt: Prompt
  readonly plan: TextPlan
  readonly work: EngineWork
  /** Tokens made so far. */
  generated: number
  cachedTokens: number
  /** Set once it has ended. */
  reason: FinishReason | undefined
}

export interface GenerationOptions {
  readonly index: number
  readonly prompt: Prompt
  readonly plan: TextPlan
  /** Shown nowhere; unique within the engine. */
  readonly engineId: string
  readonly requestId: string | undefined
  readonly priority: number
  /** Called after each step that made tokens, and when all are made (`reason` is set then). */
  onProgress(generation: Generation): void
}

/** Prepares a generation whose tokens, times and end are counted as they happen, whatever becomes of the answer. */
export function makeGeneration(sim: Sim, options: GenerationOptions): Generation {
  const { prompt, plan, requestId } = options
  const { metrics, log } = sim
  const { clock } = sim.settings
  const startedMs = clock.now()
  let lastMs = startedMs
  const outputTokens = Math.max(1, plan.pieces.length)

  function count(generated: number, cachedTokens: number): void {
    const nowMs = clock.now()
    const fresh = generated - generation.generated
    if (generation.generated === 0) {
      generation.cachedTokens = cachedTokens
      metrics.ttftS.observe((nowMs - startedMs) / 1000)
      metrics.promptTokens += prompt.tokens.length
      metrics.cachedTokens += cachedTokens
      log.began(requestId, prompt.tokens.length, cachedTokens)
      if (fresh > 1) metrics.itlS.observe(0, fresh - 1)
    } else metrics.itlS.observe((nowMs - lastMs) / 1000 / fresh, fresh)
    lastMs = nowMs
    generation.generated = generated
    metrics.generationTokens += fresh
    log.generated(requestId, fresh)
    if (generated < outputTokens) return
    generation.reason = plan.reason
    countEnd(sim, plan.reason, requestId)
    metrics.e2eS.observe((nowMs - startedMs) / 1000)
  }

  const generation: Generation = {
    index: options.index,
    prompt,
    plan,
    generated: 0,
    cachedTokens: 0,
    reason: undefined,
    work: {
      id: options.engineId,
      promptTokens: prompt.tokens.length,
      outputTokens,
      priority: options.priority,
      blockHashes: prompt.blockHashes,
      onProgress(generated, cachedTokens) {
        count(generated, cachedTokens)
        options.onProgress(generation)
      },
    },
  }
  return generation
}

/** Takes a generation out of the engine, ended as `abort`; no-op when it has ended. */
export function abortGeneration(sim: Sim, generation: Generation, requestId: string | undefined): void {
  if (generation.reason) return
  generation.reason = 'abort'
  sim.engine.abort(generation.work)
  countEnd(sim, 'abort', requestId)
}

function countEnd(sim: Sim, reason: FinishReason, requestId: string | undefined): void {
  sim.metrics.success.set(reason, (sim.metrics.success.get(reason) ?? 0) + 1)
  sim.log.ended(requestId, reason === 'abort' ? 'aborted' : 'finished')
}
