import { loadCatalogue } from '@forebay/capacity'
import { makeRegistry, silentLogger } from '@forebay/kernel'
import { expect, it } from 'vitest'
import { makeWorkerMetrics } from '../metrics.ts'
import { makeMemoryGauges } from './memory-gauges.ts'

const catalogue = await loadCatalogue()
const nothing = { running: 0, waiting: 0, preemptions: 0, promptTokens: 0, cachedTokens: 0, generationTokens: 0 }
const sample = { atMs: 0, ...nothing, steps: null, kvUsage: 0.25, kvTokens: 400_000 }

async function gaugesOf(model: string, quantization: string, clear = false) {
  const registry = makeRegistry()
  const metrics = makeWorkerMetrics(registry)
  const labels = { model, provider: 'vllm', quantization }
  const gauges = makeMemoryGauges({ catalogue, logger: silentLogger, metrics, labels: () => labels })
  gauges.observe(sample)
  if (clear) gauges.clear()
  const text = await registry.metrics()
  const value = (name: string) =>
    Number(
      new RegExp(`^${name}\\{model="[^"]+",provider="vllm",quantization="${quantization}"\\} (\\S+)`, 'm').exec(
        text,
      )?.[1],
    )
  return ['model_memory_usage_bytes', 'kv_cache_bytes', 'llm_gpu_memory_used_bytes'].map(value)
}

it('tells the bytes of a model whose shape is known, from what the engine says of its cache', async () => {
  const kv = 400_000 * 131_072
  expect(await gaugesOf('meta-llama/Llama-3.1-8B-Instruct', '')).toEqual([16.06e9, kv / 4, 16.06e9 + kv])
  expect((await gaugesOf('llama-3.1-8b', 'fp8'))[0]).toBe(8.03e9)
})

it('tells none of an unknown model or quantization, or of an engine that is gone', async () => {
  const none = [Number.NaN, Number.NaN, Number.NaN]
  expect(await gaugesOf('someone/else-8b', '')).toEqual(none)
  expect(await gaugesOf('llama-3.1-8b', 'q3_k_m')).toEqual(none)
  expect(await gaugesOf('llama-3.1-8b', '', true)).toEqual(none)
})
