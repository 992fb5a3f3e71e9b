import { Counter, Gauge, Histogram, type Registry } from '@forebay/kernel'

/** A worker's metrics. */
export interface WorkerMetrics {
  readonly active: Gauge
  readonly requests: Counter
  readonly ttft: Histogram
  readonly tps: Histogram
  readonly inferenceSeconds: Histogram
  readonly requestSeconds: Histogram
  readonly llmRequestSeconds: Histogram
  readonly generated: Counter
  readonly queueSize: Gauge
  readonly kvBytes: Gauge
  readonly modelBytes: Gauge
  readonly gpuBytes: Gauge
  readonly batchSize: Histogram
  readonly inFlight: Gauge
  readonly waiting: Gauge
  readonly tokensInFlight: Gauge
  readonly tokensMax: Gauge
  readonly admitted: Histogram
  readonly retries: Counter
  readonly identical: Counter
  readonly flushSeconds: Histogram
  readonly unflushed: Gauge
  readonly engineUp: Gauge
  readonly draining: Gauge
  readonly sharedInputs: Histogram
  readonly resident: Gauge
  readonly residentBytes: Gauge
  readonly residencyChanges: Counter
  readonly residencySeconds: Histogram
}

/** Registers the metrics; a name that the process already has is kept as it is and ours goes unregistered. */
export function makeWorkerMetrics(registry: Registry): WorkerMetrics {
  const own = (name: string, help: string) => ({
    name,
    help,
    registers: registry.getSingleMetric(name) ? [] : [registry],
  })
  const powers = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
  const wholeSeconds = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600]
  const model = ['model', 'provider', 'quantization']
  return {
    active: new Gauge({ ...own('llm_active_requests', 'requests at the engine'), labelNames: model }),
    queueSize: new Gauge({
      ...own('inference_queue_size', 'requests in this worker that wait for a seat'),
      labelNames: model,
    }),
    requests: new Counter({
      ...own('llm_requests_total', 'requests that ended at this worker'),
      labelNames: [...model, 'lane', 'outcome'],
    }),
    ttft: new Histogram({
      ...own('ttft_seconds', 'time from the engine call to the first byte, of streams'),
      labelNames: model,
      buckets: [0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8],
    }),
    tps: new Histogram({
      ...own('tps', 'tokens a second of a stream, after its first'),
      labelNames: model,
      buckets: [1, 2, 5, 10, 20, 40, 80, 160, 320, 640],
    }),
    inferenceSeconds: new Histogram({
      ...own('model_inference_latency_seconds', 'time from the last engine call of a request to its end'),
      labelNames: model,
      buckets: wholeSeconds,
    }),
    requestSeconds: new Histogram({
      ...own('request_latency_seconds', 'time from the coming of a request to this worker to its end'),
      labelNames: model,
      buckets: wholeSeconds,
    }),
    llmRequestSeconds: new Histogram({
      ...own('llm_request_latency_seconds', 'the same as request_latency_seconds'),
      labelNames: model,
      buckets: wholeSeconds,
    }),
    generated: new Counter({
      ...own('llm_tokens_generated_total', 'completion tokens of requests that ended at this worker'),
      labelNames: model,
    }),
    kvBytes: new Gauge({
      ...own('kv_cache_bytes', 'KV cache in use at the engine, from its tokens and the shape of the model'),
      labelNames: model,
    }),
    modelBytes: new Gauge({
      ...own('model_memory_usage_bytes', 'weights at the engine, from the shape of the model'),
      labelNames: model,
    }),
    gpuBytes: new Gauge({
      ...own('llm_gpu_memory_used_bytes', 'weights and KV cache reserved at the engine, from the shape of the model'),
      labelNames: model,
    }),
    batchSize: new Histogram({
      ...own('batch_size', 'requests running together at the engine, sampled with each announcement'),
      labelNames: model,
      buckets: powers,
    }),
    inFlight: new Gauge({
      ...own('forebay_worker_in_flight', 'requests at the engine by lane'),
      labelNames: ['lane'],
    }),
    waiting: new Gauge({
      ...own('forebay_worker_waiting', 'requests in this worker that wait for a seat, by lane'),
      labelNames: ['lane'],
    }),
    tokensInFlight: new Gauge(own('forebay_worker_budget_tokens_used', 'estimated tokens in flight at the engine')),
    tokensMax: new Gauge(own('forebay_worker_budget_tokens_max', 'token budget of the engine; 0 while unknown')),
    admitted: new Histogram({
      ...own('forebay_worker_admitted_requests', 'requests let in at one go'),
      buckets: powers,
    }),
    retries: new Counter({
      ...own('forebay_worker_retries_total', 'attempts at the engine that were made again, by reason'),
      labelNames: ['reason'],
    }),
    identical: new Counter({
      ...own('forebay_worker_identical_total', 'lines of batches that got the answer of an identical line'),
      labelNames: ['model'],
    }),
    flushSeconds: new Histogram({
      ...own('forebay_worker_flush_seconds', 'time to store a part and its result event'),
      buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
    }),
    unflushed: new Gauge(own('forebay_worker_unflushed_results', 'results not yet accepted by the results queue')),
    draining: new Gauge({
      ...own(
        'forebay_worker_draining',
        '1 while the worker drains, by reason: stop, or spot when its machine is taken',
      ),
      labelNames: ['reason'],
    }),
    sharedInputs: new Histogram({
      ...own('forebay_worker_embedding_inputs', 'inputs of one embeddings call to the engine'),
      buckets: powers,
    }),
    resident: new Gauge({
      ...own(
        'forebay_worker_resident',
        '1 while the model is in memory and takes requests, of models that come and go',
      ),
      labelNames: ['model'],
    }),
    residentBytes: new Gauge(own('forebay_worker_resident_bytes', 'memory of all that is in it, as configured')),
    residencyChanges: new Counter({
      ...own('forebay_worker_residency_changes_total', 'wakes, sleeps, loads and unloads by how they ended'),
      labelNames: ['model', 'change', 'outcome'],
    }),
    residencySeconds: new Histogram({
      ...own('forebay_worker_residency_seconds', 'how long a wake, sleep, load or unload took that succeeded'),
      labelNames: ['change'],
      buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 180],
    }),
    engineUp: new Gauge(own('forebay_worker_engine_up', '1 while the engine answers and makes tokens')),
  }
}
