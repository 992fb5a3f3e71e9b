import type { GpuSpec, ModelShape } from './catalogue.ts'
import { bytesPerParam, type Precision } from './precision.ts'

// vLLM's own default of --gpu-memory-utilization.
const usableShare = 0.9
// CUDA context, graphs and the activations of one step; a rule of thumb, per GPU.
const runtimeGb = 1.5
const kvBytes = 2

/** What an engine's GPUs hold, in GB (10⁹ bytes) over all of a replica's GPUs. */
export interface EngineMemory {
  readonly weightsGb: number
  readonly runtimeGb: number
  readonly usableGb: number
  /** Room left for the KV cache; negative when not even the weights fit. */
  readonly kvRoomGb: number
  /** KV cache of one request at its longest. */
  readonly kvPerRequestGb: number
  /** Requests at their longest that fit at once; 0 when the model does not fit. */
  readonly requestsMax: number
}

/** Bytes of the KV cache of one token, in FP16: keys and values of every layer. */
export function kvBytesPerToken({ headDim, kvHeads, layers }: ModelShape): number {
  return 2 * layers * kvHeads * headDim * kvBytes
}

/** Bytes of a model's weights. */
export function weightBytes(model: Pick<ModelShape, 'billionParams'>, precision: Precision): number {
  return Math.round(model.billionParams * 1e9 * bytesPerParam[precision])
}

/** What fits on one replica of `gpus` GPUs, and so how many requests of `contextTokens` it holds at once. */
export function engineMemory(question: {
  model: ModelShape
  precision: Precision
  gpu: Pick<GpuSpec, 'memoryGb'>
  gpus: number
  /** Prompt and output of one request. */
  contextTokens: number
}): EngineMemory {
  const { contextTokens, gpu, gpus, model, precision } = question
  const weightsGb = weightBytes(model, precision) / 1e9
  const usableGb = gpu.memoryGb * usableShare * gpus
  const kvRoomGb = usableGb - weightsGb - runtimeGb * gpus
  const kvPerRequestGb = (kvBytesPerToken(model) * contextTokens) / 1e9
  const requestsMax = Math.max(0, Math.floor(kvRoomGb / kvPerRequestGb))
  return { weightsGb, runtimeGb: runtimeGb * gpus, usableGb, kvRoomGb, kvPerRequestGb, requestsMax }
}
