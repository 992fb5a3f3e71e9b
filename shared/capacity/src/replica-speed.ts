import type { GpuSpec, ModelShape } from './catalogue.ts'
import { kvBytesPerToken, weightBytes } from './engine-memory.ts'
import type { Precision } from './precision.ts'

// Shares of a data sheet's figures that engines reach. With them the figures for Llama-3.1-8B on an H100 stay within
// 15 % of those that the llm-d project has measured from 8 to 256 requests in flight (see the test).
const bandwidthShare = 0.6
const computeShare = 0.5

/** How fast a replica is with so many requests in flight. */
export interface ReplicaSpeed {
  readonly requestsPerSecond: number
  /** Prompt and output together. */
  readonly tokensPerSecond: number
  /** Time to the first token of a request that need not wait for a seat, ms. */
  readonly ttftMs: number
  /** Time between tokens, ms. */
  readonly interTokenMs: number
}

/**
 * A first estimate: a prompt costs its arithmetic; every step of decoding reads the weights and the KV cache of all that
 * run. Queueing, prefix hits and speculation are left out.
 */
export function replicaSpeed(question: {
  model: ModelShape
  precision: Precision
  gpu: GpuSpec
  gpus: number
  inFlight: number
  inputTokens: number
  outputTokens: number
}): ReplicaSpeed {
  const { gpu, gpus, inFlight, inputTokens, model, outputTokens, precision } = question
  const scale = 1 + (gpus - 1) * gpu.parallelShare
  const bytesPerSecond = gpu.bandwidthGbPerSecond * 1e9 * bandwidthShare * scale
  const flopsPerSecond = gpu.teraflops * 1e12 * computeShare * scale
  const promptSeconds = (2 * model.billionParams * 1e9 * inputTokens) / flopsPerSecond
  const context = inputTokens + outputTokens / 2
  const bytes = weightBytes(model, precision) + inFlight * context * kvBytesPerToken(model)
  const stepSeconds = bytes / bytesPerSecond
  const perRequest = promptSeconds + (outputTokens * stepSeconds) / inFlight
  return {
    requestsPerSecond: 1 / perRequest,
    tokensPerSecond: (inputTokens + outputTokens) / perRequest,
    ttftMs: (promptSeconds + stepSeconds) * 1000,
    // Between two of its tokens a request also waits for the prompts of those that come in.
    interTokenMs: ((perRequest * inFlight) / outputTokens) * 1000,
  }
}
