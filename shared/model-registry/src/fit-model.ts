import {
  type Catalogue,
  engineMemory,
  findGpu,
  findModel,
  type GpuSpec,
  guessModel,
  parsePrecision,
} from '@forebay/capacity'
import { ForebayError } from '@forebay/kernel'
import type { PickedModel } from './pick-model.ts'

// Of a model whose variant does not say how long its requests may be.
const contextUnsaid = 8_192

/** What a model takes on its GPUs, in GB over all of them, and the same in words. */
export interface ModelFit extends ReturnType<typeof engineMemory> {
  readonly told: string
}

/**
 * What a model takes on GPUs of that name, or of that memory. Throws `invalid_value` with the numbers when it does not fit or the catalogue
 * does not know its shape, `not_found` for a GPU that it does not have.
 */
export function fitModel(
  catalogue: Catalogue,
  { model, variant, version }: PickedModel,
  on: string | Pick<GpuSpec, 'name' | 'memoryGb'>,
): ModelFit {
  const gpu = typeof on === 'string' ? findGpu(catalogue, on) : on
  const source = version?.source ?? model.source
  const shape =
    model.shape === undefined
      ? (guessModel(catalogue, source) ?? guessModel(catalogue, model.source))
      : findModel(catalogue, model.shape)
  if (!shape) {
    const text = `The catalogue has no model like '${source}': name one of its models in the model's shape.`
    throw new ForebayError('invalid_value', text, { param: 'shape' })
  }
  const gpus = variant.tensorParallel * variant.pipelineParallel
  const contextTokens = variant.contextTokens ?? contextUnsaid
  const precision = parsePrecision((variant.quantization ?? 'none').replace(/_marlin$/, ''))
  const memory = engineMemory({ model: shape, precision, gpu, gpus, contextTokens })
  const gb = (value: number) => `${value.toFixed(1)} GB`
  const told =
    `${gb(memory.weightsGb)} of weights and ${gb(memory.runtimeGb)} of runtime in ${gb(memory.usableGb)} of ${gpus} × ${gpu.name}, ` +
    `${gb(memory.kvRoomGb)} left for the KV cache, ${gb(memory.kvPerRequestGb)} a request of ${contextTokens} tokens.`
  if (memory.requestsMax > 0) return { ...memory, told }
  const way = 'Take more GPUs (tensorParallel), a smaller quantization or a shorter contextTokens.'
  throw new ForebayError('invalid_value', `${model.name} (${variant.name}) does not fit: ${told} ${way}`, {
    param: 'gpu',
  })
}
