import type { EngineSample } from '@forebay/batcher'
import { field } from './outcome.ts'

/** What an engine said of itself. */
export interface EngineReading {
  readonly sample: EngineSample
  /** Differs from the one before whenever the engine has made anything of a prompt or an answer since. */
  readonly progress: string
}

type Sums = (name: string) => number | undefined

interface Dialect {
  readonly prefix: string
  /** A metric that is always there. */
  readonly sign: string
  sample(sums: Sums, labels: Labels): Omit<EngineSample, 'atMs'>
  /** Those that move while a request is under way, not only at its end. */
  readonly moving: readonly string[]
}

/** The labels of each series of a metric. */
type Labels = (name: string) => readonly string[]

const vllm: Dialect = {
  prefix: 'vllm:',
  sign: 'num_requests_running',
  moving: ['generation_tokens', 'prompt_tokens'],
  sample(sum, labels) {
    const config = labels('cache_config_info')
    const number = (text: string, label: string) => Number(new RegExp(`${label}="(\\d+)"`).exec(text)?.[1] ?? 0)
    const kvTokens = config.reduce((all, text) => all + number(text, 'num_gpu_blocks') * number(text, 'block_size'), 0)
    return {
      running: sum('num_requests_running') ?? 0,
      waiting: sum('num_requests_waiting') ?? 0,
      kvUsage: meanOf(sum, labels, 'kv_cache_usage_perc'),
      kvTokens: kvTokens > 0 ? kvTokens : null,
      preemptions: sum('num_preemptions') ?? 0,
      promptTokens: sum('prompt_tokens') ?? 0,
      cachedTokens: sum('prefix_cache_hits') ?? 0,
      generationTokens: sum('generation_tokens') ?? 0,
      steps: sum('iteration_tokens_total_count') ?? null,
    }
  },
}

const sglang: Dialect = {
  prefix: 'sglang:',
  sign: 'num_running_reqs',
  moving: ['generation_tokens', 'prompt_tokens', 'num_used_tokens', 'num_running_reqs', 'realtime_tokens'],
  sample(sum, labels) {
    const [used, usage] = [sum('num_used_tokens') ?? 0, meanOf(sum, labels, 'token_usage')]
    // Older versions say only how many are used, and what share that is; of a nearly empty cache that is too coarse.
    const guessed = usage !== null && usage > 0.05 && used > 0 ? Math.round(used / usage) : null
    return {
      running: sum('num_running_reqs') ?? 0,
      waiting: sum('num_queue_reqs') ?? 0,
      kvUsage: usage,
      kvTokens: sum('max_total_num_tokens') ?? guessed,
      preemptions: sum('num_retracted_requests') ?? 0,
      promptTokens: sum('prompt_tokens') ?? 0,
      cachedTokens: sum('cached_tokens') ?? 0,
      generationTokens: sum('generation_tokens') ?? 0,
      steps: null,
      countsAtEnd: true,
    }
  },
}

const tgi: Dialect = {
  prefix: 'tgi_',
  sign: 'queue_size',
  moving: ['batch_inference_count', 'request_generated_tokens_sum', 'batch_current_max_tokens'],
  sample: (sum) => ({
    running: sum('batch_current_size') ?? 0,
    waiting: sum('queue_size') ?? 0,
    kvUsage: null,
    kvTokens: null,
    preemptions: 0,
    promptTokens: sum('request_input_length_sum') ?? 0,
    cachedTokens: 0,
    generationTokens: sum('request_generated_tokens_sum') ?? 0,
    steps: null,
    countsAtEnd: true,
  }),
}

const llamacpp: Dialect = {
  prefix: 'llamacpp:',
  sign: 'requests_processing',
  moving: ['n_decode', 'tokens_predicted', 'prompt_tokens'],
  sample: (sum) => ({
    running: sum('requests_processing') ?? 0,
    waiting: sum('requests_deferred') ?? 0,
    kvUsage: sum('kv_cache_usage_ratio') ?? null,
    kvTokens: null,
    preemptions: 0,
    promptTokens: sum('prompt_tokens') ?? 0,
    cachedTokens: 0,
    generationTokens: sum('tokens_predicted') ?? 0,
    steps: null,
    countsAtEnd: true,
  }),
}

const dialects = [vllm, sglang, tgi, llamacpp]
const line = /^(\w+?)(?:_total)?(?:\{(.*)\})? (\S+)/

/**
 * Reads the Prometheus text of vLLM, SGLang, TGI or llama.cpp, summed over an engine's parts; undefined when it is of
 * none of them.
 */
export function readEngineMetrics(text: string, atMs: number): EngineReading | undefined {
  const dialect = dialects.find(
    ({ prefix, sign }) => text.includes(`\n${prefix}${sign}`) || text.startsWith(prefix + sign),
  )
  if (!dialect) return undefined
  const sums = new Map<string, number>()
  const labels = new Map<string, string[]>()
  for (const each of text.split('\n')) {
    if (!each.startsWith(dialect.prefix)) continue
    const [, name, label = '', value] = line.exec(each.slice(dialect.prefix.length)) ?? []
    const number = Number(value)
    // A share of nothing yet is written NaN.
    if (name === undefined || Number.isNaN(number)) continue
    sums.set(name, (sums.get(name) ?? 0) + number)
    labels.set(name, [...(labels.get(name) ?? []), label])
  }
  const sum: Sums = (name) => sums.get(name)
  return {
    sample: { atMs, ...dialect.sample(sum, (name) => labels.get(name) ?? []) },
    progress: dialect.moving.map((name) => sums.get(name) ?? 0).join(' '),
  }
}

/** Reads llama.cpp's `/slots`, which it answers also where its metrics are not switched on; undefined for another. */
export function readSlots(text: string, atMs: number): EngineReading | undefined {
  let slots: unknown
  try {
    slots = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!Array.isArray(slots) || !slots.every((slot) => typeof field(slot, 'is_processing') === 'boolean'))
    return undefined
  const running = slots.filter((slot) => field(slot, 'is_processing') === true).length
  const nothing = { kvUsage: null, kvTokens: null, preemptions: 0, promptTokens: 0, cachedTokens: 0, steps: null }
  return {
    sample: { atMs, running, waiting: 0, ...nothing, generationTokens: 0, countsAtEnd: true },
    progress: slots.map((slot) => JSON.stringify([field(slot, 'id_task'), field(slot, 'next_token')])).join(' '),
  }
}

function meanOf(sum: Sums, labels: Labels, name: string): number | null {
  const all = sum(name)
  return all === undefined ? null : all / Math.max(1, labels(name).length)
}
