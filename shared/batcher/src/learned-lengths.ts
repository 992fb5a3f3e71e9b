import type { Usage } from '@forebay/contracts'
import { estimatePromptTokens } from '@forebay/tokens'
import type { BatcherRequest } from './request.ts'

interface Lengths {
  samples: number
  bytesPerToken: number
  outputTokens: number
  /** Share of the prompt that requests of a prefix group found cached. */
  cachedShare: number
}

const keysMax = 1_000
const weight = 0.1
// Below this many samples the plan's own estimate is the better guess.
const samplesMin = 8
// Above the mean, so that half of the requests being longer does not overrun the budget.
const outputMargin = 1.25

/** What a request is expected to take. */
export interface Estimate {
  promptTokens: number
  /** Those of the prompt that the engine must compute, its prefix cache having the rest. */
  freshTokens: number
  outputTokens: number
  /** As many as were planned for, if that is more. */
  outputTokensMost: number
}

/** Prompt and output lengths per model and batch, learned from what the engine counted (exponential averages). */
export interface LearnedLengths {
  estimate(request: BatcherRequest): Estimate
  learn(request: BatcherRequest, usage: Usage): void
}

/** Starts knowing nothing; remembers the most recent batches only. */
export function makeLearnedLengths(): LearnedLengths {
  const known = new Map<string, Lengths>()
  // Asked several times for each request, and mostly of the same model and batch.
  let newest: string | undefined
  let last: { model: string; batchId: string | null; key: string } | undefined
  function keyOf({ batchId, model }: BatcherRequest): string {
    if (last?.batchId !== batchId || last.model !== model) last = { model, batchId, key: `${model}\n${batchId ?? ''}` }
    return last.key
  }
  return {
    estimate(request) {
      const lengths = known.get(keyOf(request))
      const planned = Math.max(1, request.estTokens - estimatePromptTokens(request.bytes))
      if (!lengths || lengths.samples < samplesMin) {
        const promptTokens = estimatePromptTokens(request.bytes)
        return { promptTokens, freshTokens: promptTokens, outputTokens: planned, outputTokensMost: planned }
      }
      const promptTokens = estimatePromptTokens(request.bytes, lengths.bytesPerToken)
      const cachedShare = request.prefixGroup === 0 ? 0 : lengths.cachedShare
      const outputTokens = Math.ceil(lengths.outputTokens * outputMargin)
      return {
        promptTokens,
        freshTokens: Math.ceil(promptTokens * (1 - cachedShare)),
        outputTokens,
        outputTokensMost: Math.max(outputTokens, planned),
      }
    },
    learn(request, usage) {
      if (usage.promptTokens <= 0) return
      const key = keyOf(request)
      const ratio = request.bytes / usage.promptTokens
      const lengths = known.get(key) ?? {
        samples: 0,
        bytesPerToken: ratio,
        outputTokens: usage.completionTokens,
        cachedShare: 0,
      }
      lengths.samples++
      lengths.bytesPerToken += weight * (ratio - lengths.bytesPerToken)
      lengths.outputTokens += weight * (usage.completionTokens - lengths.outputTokens)
      if (request.prefixGroup !== 0) {
        const cachedShare = Math.min(1, (usage.cachedTokens ?? 0) / usage.promptTokens)
        lengths.cachedShare += weight * (cachedShare - lengths.cachedShare)
      }
      if (key === newest) return
      newest = key
      known.delete(key)
      known.set(key, lengths)
      const [oldest] = known.keys()
      if (known.size > keysMax && oldest !== undefined) known.delete(oldest)
    },
  }
}
