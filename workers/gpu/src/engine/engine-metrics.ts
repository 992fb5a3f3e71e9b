import type { EngineSample } from '@forebay/batcher'

/** Reads vLLM's Prometheus text, summed over its engines; undefined when it is not vLLM's. */
export function readEngineMetrics(text: string, atMs: number): EngineSample | undefined {
  if (!text.includes('vllm:num_requests_running')) return undefined
  const sums = new Map<string, number>()
  let kvTokens = 0
  let kvUsageEngines = 0
  for (const line of text.split('\n')) {
    if (!line.startsWith('vllm:')) continue
    const match = /^vllm:(\w+?)(?:_total)?(?:\{(.*)\})? (\S+)/.exec(line)
    const name = match?.[1]
    if (name === undefined) continue
    sums.set(name, (sums.get(name) ?? 0) + Number(match?.[3]))
    if (name === 'kv_cache_usage_perc') kvUsageEngines++
    if (name === 'cache_config_info') {
      const label = (key: string) => Number(new RegExp(`${key}="(\\d+)"`).exec(match?.[2] ?? '')?.[1] ?? 0)
      kvTokens += label('num_gpu_blocks') * label('block_size')
    }
  }
  const sum = (name: string) => sums.get(name) ?? 0
  return {
    atMs,
    running: sum('num_requests_running'),
    waiting: sum('num_requests_waiting'),
    kvUsage: kvUsageEngines > 0 ? sum('kv_cache_usage_perc') / kvUsageEngines : null,
    kvTokens: kvTokens > 0 ? kvTokens : null,
    preemptions: sum('num_preemptions'),
    promptTokens: sum('prompt_tokens'),
    cachedTokens: sum('prefix_cache_hits'),
    generationTokens: sum('generation_tokens'),
    steps: sums.get('iteration_tokens_total_count') ?? null,
  }
}
