import { makeRegistry, type Registry } from '@forebay/kernel'
import { z } from 'zod'
import { makeAutoscalerMetrics } from '../../../services/autoscaler/src/metrics.ts'
import { makeGatewayMetrics } from '../../../services/gateway/src/metrics.ts'
import { makeResultsMetrics } from '../../../services/results/src/metrics.ts'
import { makeSchedulerMetrics } from '../../../services/scheduler/src/metrics.ts'
import { makeMetrics } from '../../../services/webhooks/src/metrics.ts'
import { makeWorkerMetrics } from '../../../workers/gpu/src/metrics.ts'

const makers: Readonly<Record<string, (registry: Registry) => unknown>> = {
  gateway: makeGatewayMetrics,
  scheduler: makeSchedulerMetrics,
  results: makeResultsMetrics,
  webhooks: makeMetrics,
  autoscaler: makeAutoscalerMetrics,
  worker: makeWorkerMetrics,
}

/** A metric as a process exposes it. */
export interface Exposed {
  readonly process: string
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  readonly help: string
}

/** What each process exposes at /metrics, asked of its own registry. */
export async function readExposed(): Promise<Exposed[]> {
  const shape = z.looseObject({
    name: z.string(),
    help: z.string(),
    type: z.enum(['counter', 'gauge', 'histogram']),
  })
  const families = await Promise.all(
    Object.entries(makers).map(async ([process, make]) => {
      const registry = makeRegistry()
      make(registry)
      const labels = new Map(
        registry
          .getMetricsAsArray()
          .map((metric) =>
            z.looseObject({ name: z.string(), labelNames: z.array(z.string()).default([]) }).parse(metric),
          )
          .map(({ labelNames, name }) => [name, labelNames]),
      )
      return (await registry.getMetricsAsJSON()).map((metric) => {
        const { help, name, type } = shape.parse(metric)
        return { process, name, type, labels: labels.get(name) ?? [], help }
      })
    }),
  )
  return families.flat()
}
