import { startEngineSim } from '@forebay/engine-sim'
import { eventually } from '@forebay/test-support'
import { expect, it, onTestFinished } from 'vitest'
import { makeBench } from './testing/bench.ts'

it('tells of a stream under the usual names, each with model, provider and quantization', async () => {
  const model = 'llama-3.1-8b'
  const sim = await startEngineSim({ models: [model], profile: 'laptop', speed: 5 })
  onTestFinished(() => sim.stop())
  const bench = await makeBench()
  onTestFinished(() => bench.stop())
  await bench.worker(sim.url)
  await bench.ask(
    { model, messages: [{ role: 'user', content: 'hi' }], max_tokens: 20, stream: true },
    { stream: true, model },
  )
  await eventually(() => bench.results.length === 1, { what: 'the result' })
  const labels = `model="${model}",provider="engine-sim",quantization="fp8"`
  const read = async (name: string) =>
    Number(new RegExp(`^${name}\\{${labels}[^}]*\\} (\\S+)`, 'm').exec(await bench.registry.metrics())?.[1])
  await eventually(async () => (await read('kv_cache_bytes')) >= 0, { what: 'a sample of the engine' })
  for (const name of ['model_inference_latency_seconds', 'request_latency_seconds', 'llm_request_latency_seconds'])
    expect(await read(`${name}_count`), name).toBe(1)
  expect(await read('ttft_seconds_count')).toBe(1)
  expect(await read('tps_count')).toBe(1)
  expect(await read('llm_tokens_generated_total')).toBe(bench.results[0]?.usage.completionTokens)
  expect(await read('llm_requests_total')).toBe(1)
  expect(await read('model_memory_usage_bytes')).toBe(8.03e9)
  expect(await read('llm_gpu_memory_used_bytes')).toBeGreaterThan(8.03e9)
  await eventually(async () => (await read('llm_active_requests')) === 0, { what: 'an announcement' })
  expect(await read('inference_queue_size')).toBe(0)
})
