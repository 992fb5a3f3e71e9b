import { z } from 'zod'

const mebibyte = 2 ** 20
// Bytes a unit of the metrics that say what is used of a GPU's memory: ours, a worker's, and NVIDIA's DCGM exporter's.
const units: Readonly<Record<string, number>> = { llm_gpu_memory_used_bytes: 1, DCGM_FI_DEV_FB_USED: mebibyte }
const ollamaSchema = z.looseObject({
  models: z.array(z.looseObject({ name: z.string(), size_vram: z.number() })),
})

/** Bytes of GPU memory in use by Prometheus text, over all GPUs; null when it does not say. */
export function memoryInMetrics(text: string): number | null {
  let bytes: number | null = null
  for (const line of text.split('\n')) {
    const [, name = '', value] = /^(\w+)(?:\{.*\})? (\S+)/.exec(line) ?? []
    const unit = units[name]
    if (unit !== undefined && Number.isFinite(Number(value))) bytes = (bytes ?? 0) + Number(value) * unit
  }
  return bytes
}

/** Bytes of GPU memory of a model by Ollama's `/api/ps`; null when it is not there, or the text is of another. */
export function memoryInOllama(text: string, model: string): number | null {
  try {
    const { models } = ollamaSchema.parse(JSON.parse(text))
    return models.find(({ name }) => name === model || name === `${model}:latest`)?.size_vram ?? null
  } catch {
    return null
  }
}
