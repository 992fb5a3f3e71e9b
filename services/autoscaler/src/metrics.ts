import { Counter, Gauge, type Registry } from '@forebay/kernel'

/** The autoscaler's metrics, registered in `registry`. */
export interface AutoscalerMetrics {
  desired: Gauge<'pool'>
  ready: Gauge<'pool'>
  outstandingTokens: Gauge<'pool'>
  stuck: Gauge<'pool'>
  lateSeconds: Gauge<'pool'>
  changes: Counter<'pool' | 'direction'>
  failures: Counter
}

/** Creates the metrics. Call once per registry. */
export function makeAutoscalerMetrics(registry: Registry): AutoscalerMetrics {
  const registers = [registry]
  const gauge = (name: string, help: string) =>
    new Gauge<'pool'>({ name: `forebay_scale_${name}`, help, labelNames: ['pool'], registers })
  return {
    desired: gauge('desired_replicas', 'Workers that the pool should have'),
    ready: gauge('ready_replicas', 'Workers of the pool that take work'),
    outstandingTokens: gauge('outstanding_tokens', 'Estimated tokens of batches that may run there and are not done'),
    stuck: gauge('stuck', '1 while workers asked for long ago do not come'),
    lateSeconds: gauge('late_seconds', 'For how long the oldest worker asked for should have worked already'),
    changes: new Counter({
      name: 'forebay_scale_changes_total',
      help: 'Decisions that changed the number of workers, by direction: up, down',
      labelNames: ['pool', 'direction'],
      registers,
    }),
    failures: new Counter({
      name: 'forebay_scale_failures_total',
      help: 'Rounds without a decision; what was decided before stays',
      registers,
    }),
  }
}
