import { Counter, Gauge, Histogram, type Registry } from '@forebay/kernel'

const latencySeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]

/** The gateway's metrics. */
export function makeGatewayMetrics(registry: Registry) {
  const registers = [registry]
  return {
    httpSeconds: new Histogram({
      name: 'forebay_http_request_duration_seconds',
      help: 'Time from a request until its answer is written',
      labelNames: ['method', 'route', 'status'],
      buckets: latencySeconds,
      registers,
    }),
    firstByteSeconds: new Histogram({
      name: 'forebay_live_first_byte_seconds',
      help: 'Time from a real-time request until the first byte of its answer',
      labelNames: ['endpoint'],
      buckets: latencySeconds,
      registers,
    }),
    liveSeconds: new Histogram({
      name: 'forebay_live_duration_seconds',
      help: 'Time from a real-time request until its answer is whole',
      labelNames: ['endpoint', 'outcome'],
      buckets: latencySeconds,
      registers,
    }),
    liveInFlight: new Gauge({
      name: 'forebay_live_in_flight',
      help: 'Real-time requests accepted and not yet answered',
      registers,
    }),
    liveLost: new Counter({
      name: 'forebay_live_attempts_lost_total',
      help: 'Attempts of real-time requests that were given up, by reason',
      labelNames: ['reason'],
      registers,
    }),
    routes: new Counter({
      name: 'forebay_routes_total',
      help: 'Real-time requests by the pool chosen and what decided: only, score, sticky, failover, overflow, full',
      labelNames: ['pool', 'reason'],
      registers,
    }),
    complexityChecks: new Counter({
      name: 'forebay_complexity_checks_total',
      help: 'Answers compared with those of the other model of a complexity rule, by verdict: agreed, differed, error',
      labelNames: ['alias', 'verdict'],
      registers,
    }),
    complexityFallback: new Gauge({
      name: 'forebay_complexity_fallback',
      help: '1 while the large model of a complexity rule answers everything, because too few answers agree; else 0',
      labelNames: ['alias'],
      registers,
    }),
    rateLimited: new Counter({
      name: 'forebay_rate_limited_total',
      help: 'Requests refused by a rate limit, by limit',
      labelNames: ['limit'],
      registers,
    }),
    limitDecisions: new Counter({
      name: 'forebay_limit_decisions_total',
      help: 'Live requests counted against their limits, by what told: an allowance (counted in advance) or the store',
      labelNames: ['by'],
      registers,
    }),
    limiterErrors: new Counter({
      name: 'forebay_limiter_errors_total',
      help: 'Requests let through because the limiter could not be reached',
      registers,
    }),
    cacheLookups: new Counter({
      name: 'forebay_cache_lookups_total',
      help: 'Real-time requests by what the exact cache had for them: hit, waited (for an equal request), miss, bypass',
      labelNames: ['result'],
      registers,
    }),
    cacheErrors: new Counter({
      name: 'forebay_cache_errors_total',
      help: 'Calls to the shared cache that failed; the gateway went on without it',
      registers,
    }),
    cacheBytes: new Gauge({
      name: 'forebay_cache_memory_bytes',
      help: 'Bytes of cached answers in this process',
      registers,
    }),
    cacheUnreported: new Gauge({
      name: 'forebay_cache_hits_unreported',
      help: 'Cache hits answered and not yet on a results queue',
      registers,
    }),
    semanticLookups: new Counter({
      name: 'forebay_semantic_cache_lookups_total',
      help: 'Questions by what the semantic cache did: served, shadow or sampled (found, computed and compared), miss, error',
      labelNames: ['result'],
      registers,
    }),
    semanticRefused: new Counter({
      name: 'forebay_semantic_cache_refused_total',
      help: 'Near answers that were refused, by the guard that told the questions apart',
      labelNames: ['guard'],
      registers,
    }),
    semanticSamples: new Counter({
      name: 'forebay_semantic_cache_samples_total',
      help: 'Answers compared with computed ones, by verdict: right, wrong',
      labelNames: ['verdict'],
      registers,
    }),
    semanticStops: new Counter({
      name: 'forebay_semantic_cache_stops_total',
      help: 'Times the semantic cache of a tenant and model stopped itself',
      registers,
    }),
    uploadedBytes: new Counter({
      name: 'forebay_uploaded_bytes_total',
      help: 'Bytes of files uploaded',
      registers,
    }),
  }
}

/** The gateway's metrics. */
export type GatewayMetrics = ReturnType<typeof makeGatewayMetrics>
