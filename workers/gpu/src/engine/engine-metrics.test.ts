import { expect, it } from 'vitest'
import { detectEngine, seatBounds } from './detect-engine.ts'
import { readEngineMetrics, readSlots } from './engine-metrics.ts'

const read = (text: string) => readEngineMetrics(text, 1_000)

it('reads vLLM, summed over its engines', () => {
  const engine = (n: number) => `
vllm:num_requests_running{engine="${n}",model_name="m"} 3.0
vllm:num_requests_waiting{engine="${n}",model_name="m"} 1.0
vllm:num_requests_waiting_by_reason{engine="${n}",model_name="m",reason="capacity"} 1.0
vllm:kv_cache_usage_perc{engine="${n}",model_name="m"} 0.${n + 4}
vllm:cache_config_info{block_size="16",engine="${n}",num_gpu_blocks="1000"} 1.0
vllm:num_preemptions_total{engine="${n}",model_name="m"} 2.0
vllm:prompt_tokens_total{engine="${n}",model_name="m"} 5000.0
vllm:prefix_cache_hits_total{engine="${n}",model_name="m"} 400.0
vllm:generation_tokens_total{engine="${n}",model_name="m"} 700.0
vllm:iteration_tokens_total_bucket{engine="${n}",le="1.0",model_name="m"} 7.0
vllm:iteration_tokens_total_count{engine="${n}",model_name="m"} 90.0`
  expect(read(engine(0) + engine(1))?.sample).toEqual({
    atMs: 1_000,
    running: 6,
    waiting: 2,
    kvUsage: 0.45,
    kvTokens: 32_000,
    preemptions: 4,
    promptTokens: 10_000,
    cachedTokens: 800,
    generationTokens: 1_400,
    steps: 180,
  })
})

const sglang = (used: number, more = '') => `# HELP sglang:num_running_reqs The number of running requests
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{model_name="meta-llama/Llama-3.1-8B-Instruct"} 162.0
# HELP sglang:num_used_tokens The number of used tokens
# TYPE sglang:num_used_tokens gauge
sglang:num_used_tokens{model_name="meta-llama/Llama-3.1-8B-Instruct"} ${used}.0
sglang:token_usage{model_name="meta-llama/Llama-3.1-8B-Instruct"} 0.28
sglang:gen_throughput{model_name="meta-llama/Llama-3.1-8B-Instruct"} 86.50814177726902
sglang:num_queue_reqs{model_name="meta-llama/Llama-3.1-8B-Instruct"} 2826.0
sglang:cache_hit_rate{model_name="meta-llama/Llama-3.1-8B-Instruct"} NaN
sglang:prompt_tokens_total{model_name="meta-llama/Llama-3.1-8B-Instruct"} 8128902.0
sglang:generation_tokens_total{model_name="meta-llama/Llama-3.1-8B-Instruct"} 7557572.0
${more}`

it('reads SGLang, and the size of its cache from what is used where that is all it says', () => {
  expect(read(sglang(123_859))?.sample).toMatchObject({
    running: 162,
    waiting: 2826,
    kvUsage: 0.28,
    kvTokens: Math.round(123_859 / 0.28),
    promptTokens: 8_128_902,
    generationTokens: 7_557_572,
    steps: null,
    countsAtEnd: true,
  })
  expect(read(sglang(9, 'sglang:max_total_num_tokens{model_name="m"} 471258.0'))?.sample.kvTokens).toBe(471_258)
})

it('sees an engine at work between the ends of its requests', () => {
  expect(read(sglang(100))?.progress).not.toBe(read(sglang(101))?.progress)
  expect(read(sglang(100))?.progress).toBe(read(sglang(100))?.progress)
  const llama = (decodes: number) => `llamacpp:requests_processing 4\nllamacpp:n_decode_total ${decodes}\n`
  expect(read(llama(1))?.progress).not.toBe(read(llama(2))?.progress)
})

it('reads TGI', () => {
  const text = `# TYPE tgi_queue_size gauge
tgi_queue_size 5
# TYPE tgi_batch_current_size gauge
tgi_batch_current_size 8
tgi_batch_current_max_tokens 2048
# TYPE tgi_batch_inference_count counter
tgi_batch_inference_count{method="prefill"} 40
tgi_batch_inference_count{method="decode"} 900
tgi_request_input_length_bucket{le="+Inf"} 253
tgi_request_input_length_sum 32384
tgi_request_input_length_count 253
tgi_request_generated_tokens_sum 64000
tgi_request_generated_tokens_count 250`
  expect(read(text)).toMatchObject({
    sample: {
      running: 8,
      waiting: 5,
      kvUsage: null,
      promptTokens: 32_384,
      generationTokens: 64_000,
      countsAtEnd: true,
    },
    progress: '940 64000 2048',
  })
})

it('reads llama.cpp, by its metrics or by its slots', () => {
  const text = `# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 512
llamacpp:tokens_predicted_total 39080
llamacpp:tokens_predicted_seconds_total 1235.5
llamacpp:n_decode_total 39303
llamacpp:n_busy_slots_per_decode 3.87
llamacpp:predicted_tokens_seconds nan
llamacpp:requests_processing 4
llamacpp:requests_deferred 46`
  expect(read(text)?.sample).toMatchObject({ running: 4, waiting: 46, generationTokens: 39_080, kvTokens: null })
  const slot = (id: number, busy: boolean, decoded: number) => ({
    id,
    id_task: id + 10,
    n_ctx: 4096,
    is_processing: busy,
    next_token: { n_decoded: decoded },
  })
  const slots = (decoded: number) => JSON.stringify([slot(0, true, decoded), slot(1, false, 0)])
  expect(readSlots(slots(3), 1)?.sample).toMatchObject({ running: 1, waiting: 0 })
  expect(readSlots(slots(3), 1)?.progress).not.toBe(readSlots(slots(4), 1)?.progress)
  expect(
    readSlots('{"error":{"code":501,"message":"This server does not support slots endpoint."}}', 1),
  ).toBeUndefined()
})

it('makes nothing of the metrics of another', () => {
  expect(read('# HELP process_cpu_seconds_total Time.\nprocess_cpu_seconds_total 12.5\n')).toBeUndefined()
  expect(read('<html>')).toBeUndefined()
})

/** An engine by what it answers; any other path is 404. */
const answering = (pages: Record<string, unknown>) => ({
  ask: async (path: string) => ({
    status: path in pages ? 200 : 404,
    headers: {},
    text: JSON.stringify(pages[path] ?? {}),
  }),
})
const models = (owner?: string) => ({ object: 'list', data: [{ id: 'm', object: 'model', owned_by: owner }] })

it('tells engines apart by what each says of itself', async () => {
  const kindOf = async (pages: Record<string, unknown>) => (await detectEngine(answering(pages))).kind
  expect(await kindOf({ '/v1/models': models('vllm') })).toBe('vllm')
  expect(await kindOf({ '/v1/models': models('someone'), '/version': { version: '0.29.0' } })).toBe('vllm')
  expect(await kindOf({ '/v1/models': models('sglang') })).toBe('sglang')
  expect(await kindOf({ '/v1/models': models(), '/info': { max_concurrent_requests: 128 } })).toBe('tgi')
  expect(await kindOf({ '/v1/models': models('library'), '/api/tags': { models: [] } })).toBe('ollama')
  expect(await kindOf({ '/v1/models': models('llamacpp'), '/api/tags': { models: [] } })).toBe('llamacpp')
  expect(await kindOf({ '/v1/models': models('organization') })).toBe('openai')
})

it('gives llama.cpp as many requests as it has slots, and never more than is configured', async () => {
  const pages = { '/v1/models': models('llamacpp'), '/props': { total_slots: 4 } }
  const profile = await detectEngine(answering(pages))
  expect(seatBounds(profile, undefined)).toEqual({ start: 4, max: 4 })
  expect(seatBounds(profile, 2)).toEqual({ start: 2, max: 2 })
  expect(seatBounds({ kind: 'openai' }, 12)).toEqual({ start: 12, max: 12 })
  expect(seatBounds({ kind: 'vllm' }, 12)).toEqual({ start: 12, max: 12 })
})
