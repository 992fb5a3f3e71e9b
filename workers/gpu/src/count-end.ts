import type { Lane, RequestResult } from '@forebay/contracts'
import type { WorkerMetrics } from './metrics.ts'
import type { ModelLabels } from './model-facts.ts'

/** Counts a request that ended at this worker. */
export function countEnd(
  metrics: WorkerMetrics,
  end: {
    labels: ModelLabels
    lane: Lane
    outcome: RequestResult['outcome']
    completionTokens: number
    /** When it came, when its last attempt at the engine began (undefined: there was none), and when it ended. */
    receivedAtMs: number
    startedMs: number | undefined
    nowMs: number
    /** From the attempt's begin to the first byte of a stream; null for an answer that came whole. */
    firstTokenMs: number | null
  },
): void {
  const { completionTokens, firstTokenMs, labels, nowMs, startedMs } = end
  const { model, provider, quantization } = labels
  // Named one by one: prom-client reads an object that grew behind a spread six times slower. The labels themselves go
  // as they are: it keeps the first object of each kind, and changes none.
  metrics.requests.inc({ model, provider, quantization, lane: end.lane, outcome: end.outcome })
  metrics.generated.inc(labels, completionTokens)
  const wholeSeconds = Math.max(0, nowMs - end.receivedAtMs) / 1000
  metrics.requestSeconds.observe(labels, wholeSeconds)
  metrics.llmRequestSeconds.observe(labels, wholeSeconds)
  if (startedMs === undefined) return
  const engineMs = Math.max(0, nowMs - startedMs)
  metrics.inferenceSeconds.observe(labels, engineMs / 1000)
  if (firstTokenMs === null) return
  metrics.ttft.observe(labels, firstTokenMs / 1000)
  const streamingMs = engineMs - firstTokenMs
  if (streamingMs > 0 && completionTokens > 0) metrics.tps.observe(labels, (completionTokens * 1000) / streamingMs)
}
