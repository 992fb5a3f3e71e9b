import type { EngineSample } from '@forebay/batcher'
import { type Catalogue, guessModel, kvBytesPerToken, parsePrecision, weightBytes } from '@forebay/capacity'
import { describeError, type Logger } from '@forebay/kernel'
import type { WorkerMetrics } from '../metrics.ts'
import type { ModelLabels } from '../model-facts.ts'

/** Keeps the gauges of an engine's memory. */
export interface MemoryGauges {
  observe(sample: EngineSample): void
  /** The engine is gone: nothing is known of it. */
  clear(): void
}

/**
 * Engines tell how many tokens their KV cache has room for and holds, not bytes. Bytes are worked out from the shape of
 * the model, where the catalogue knows it, with a KV cache in FP16; there is no series for a model it does not know, or
 * an engine that does not tell.
 */
export function makeMemoryGauges(options: {
  catalogue: Catalogue
  logger: Logger
  metrics: Pick<WorkerMetrics, 'kvBytes' | 'modelBytes' | 'gpuBytes'>
  /** The engine's model. */
  labels: () => ModelLabels
}): MemoryGauges {
  const { catalogue, labels, logger, metrics } = options
  let unknown = ''
  const precisionOf = (quantization: string) => {
    try {
      return parsePrecision(quantization === '' ? 'none' : quantization)
    } catch (err) {
      if (unknown !== quantization) logger.info({ error: describeError(err) }, 'memory of the engine is not known')
      unknown = quantization
      return undefined
    }
  }
  return {
    observe({ kvTokens, kvUsage }) {
      const of = labels()
      const model = guessModel(catalogue, of.model)
      const precision = model && precisionOf(of.quantization)
      if (!model || !precision) return
      const weights = weightBytes(model, precision)
      metrics.modelBytes.set({ ...of }, weights)
      if (kvTokens === null) return
      const reserved = kvTokens * kvBytesPerToken(model)
      if (kvUsage !== null) metrics.kvBytes.set({ ...of }, reserved * kvUsage)
      metrics.gpuBytes.set({ ...of }, weights + reserved)
    },
    clear() {
      for (const gauge of [metrics.kvBytes, metrics.modelBytes, metrics.gpuBytes]) gauge.reset()
    },
  }
}
