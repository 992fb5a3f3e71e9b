import type { Engine } from './engine.ts'
import type { Settings } from './settings.ts'

const ttftBuckets = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
]
const itlBuckets = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80]
const e2eBuckets = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680]

/** A histogram with fixed buckets; observing is a binary search and three additions, cheap enough for every token. */
export class BucketHistogram {
  readonly bounds: readonly number[]
  readonly counts: number[]
  sum = 0
  count = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = new Array<number>(bounds.length + 1).fill(0)
  }

  /** Records `times` observations of `value`. */
  observe(value: number, times = 1): void {
    let low = 0
    let high = this.bounds.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (value <= (this.bounds[middle] ?? 0)) high = middle
      else low = middle + 1
    }
    this.counts[low] = (this.counts[low] ?? 0) + times
    this.sum += value * times
    this.count += times
  }
}

/** What the server counts; the engine's own counters are read when scraped. */
export interface SimMetrics {
  promptTokens: number
  cachedTokens: number
  generationTokens: number
  rejected: number
  readonly success: Map<string, number>
  readonly ttftS: BucketHistogram
  readonly itlS: BucketHistogram
  readonly e2eS: BucketHistogram
}

export function makeMetrics(): SimMetrics {
  return {
    promptTokens: 0,
    cachedTokens: 0,
    generationTokens: 0,
    rejected: 0,
    success: new Map(['stop', 'length', 'abort', 'error', 'repetition'].map((reason) => [reason, 0])),
    ttftS: new BucketHistogram(ttftBuckets),
    itlS: new BucketHistogram(itlBuckets),
    e2eS: new BucketHistogram(e2eBuckets),
  }
}

/** Prometheus text under vLLM's names and labels. */
export function renderMetrics(metrics: SimMetrics, engine: Engine, settings: Settings, asleep: boolean): string {
  const labels = `model_name=${JSON.stringify(settings.models[0] ?? '')},engine="0"`
  const lines: string[] = []
  const write = (type: string, name: string, value: number, more = '') => {
    lines.push(`# HELP vllm:${name} Simulated by engine-sim.`, `# TYPE vllm:${name} ${type}`)
    lines.push(`vllm:${name}{${labels}${more}} ${value}`)
  }
  const gauge = (name: string, value: number, more = '') => write('gauge', name, value, more)
  const counter = (name: string, value: number, more = '') => write('counter', `${name}_total`, value, more)

  gauge('num_requests_running', engine.running)
  gauge('num_requests_waiting', engine.waiting)
  gauge('num_requests_waiting_by_reason', engine.waiting, ',reason="capacity"')
  lines.push(`vllm:num_requests_waiting_by_reason{${labels},reason="deferred"} 0`)
  gauge('engine_sleep_state', asleep ? 0 : 1, ',sleep_state="awake"')
  gauge('kv_cache_usage_perc', engine.kvUsage)
  gauge('cache_config_info', 1, cacheConfigLabels(settings))
  counter('prefix_cache_queries', engine.prefixCacheQueries)
  counter('prefix_cache_hits', engine.prefixCacheHits)
  counter('num_preemptions', engine.preemptions)
  counter('prompt_tokens', metrics.promptTokens)
  // Of vLLM's histogram of tokens per step the count alone: how many steps there were.
  lines.push(`vllm:iteration_tokens_total_count{${labels}} ${engine.steps}`)
  counter('prompt_tokens_cached', metrics.cachedTokens)
  counter('generation_tokens', metrics.generationTokens)
  counter('admission_rejections', metrics.rejected, ',reason="max_num_queued_reqs"')
  lines.push('# HELP vllm:request_success_total Simulated by engine-sim.', '# TYPE vllm:request_success_total counter')
  for (const [reason, count] of metrics.success) {
    lines.push(`vllm:request_success_total{${labels},finished_reason="${reason}"} ${count}`)
  }
  writeHistogram(lines, 'time_to_first_token_seconds', labels, metrics.ttftS)
  writeHistogram(lines, 'inter_token_latency_seconds', labels, metrics.itlS)
  writeHistogram(lines, 'e2e_request_latency_seconds', labels, metrics.e2eS)
  return `${lines.join('\n')}\n`
}

function cacheConfigLabels({ limits }: Settings): string {
  return `,block_size="${limits.blockSize}",num_gpu_blocks="${limits.numGpuBlocks}",enable_prefix_caching="True"`
}

function writeHistogram(lines: string[], name: string, labels: string, histogram: BucketHistogram): void {
  lines.push(`# HELP vllm:${name} Simulated by engine-sim.`, `# TYPE vllm:${name} histogram`)
  let below = 0
  histogram.counts.forEach((count, i) => {
    below += count
    lines.push(`vllm:${name}_bucket{${labels},le="${histogram.bounds[i] ?? '+Inf'}"} ${below}`)
  })
  lines.push(`vllm:${name}_sum{${labels}} ${histogram.sum}`, `vllm:${name}_count{${labels}} ${histogram.count}`)
}
