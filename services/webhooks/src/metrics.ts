import { Counter, Gauge, Histogram, type Registry } from '@forebay/kernel'

/** The numbers of the webhooks process. */
export interface Metrics {
  attempts: Counter<'verdict'>
  attemptSeconds: Histogram
  inFlight: Gauge
}

/** Registers the metrics; once per registry. */
export function makeMetrics(registry: Registry): Metrics {
  const registers = [registry]
  return {
    attempts: new Counter({
      name: 'forebay_webhook_attempts_total',
      help: 'Delivery attempts by what became of the delivery: delivered, retry, failed, or its endpoint disabled',
      labelNames: ['verdict'],
      registers,
    }),
    attemptSeconds: new Histogram({
      name: 'forebay_webhook_attempt_seconds',
      help: 'Time an endpoint took to answer an attempt',
      buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30],
      registers,
    }),
    inFlight: new Gauge({
      name: 'forebay_webhook_in_flight',
      help: 'Attempts under way',
      registers,
    }),
  }
}
