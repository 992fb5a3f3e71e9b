import type { Batcher } from '@forebay/batcher'
import type { EngineMeter } from '@forebay/engine-time'
import type { Clock, Logger } from '@forebay/kernel'
import type { RequestDispatcher } from './dispatcher.ts'
import type { EngineClient } from './engine/engine-client.ts'
import type { TimeLimits } from './engine/time-limits.ts'
import type { WorkerMetrics } from './metrics.ts'
import type { ModelLabels } from './model-facts.ts'
import type { ResultFlusher } from './results/result-flusher.ts'
import type { Throughput } from './throughput.ts'

/** What both runners of a worker share. */
export interface WorkerTools {
  readonly workerId: string
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: WorkerMetrics
  readonly client: Pick<EngineClient, 'call' | 'stream'>
  readonly batcher: Pick<Batcher, 'estimate'>
  readonly dispatcher: RequestDispatcher
  readonly limits: TimeLimits
  readonly meter: EngineMeter
  readonly flusher: ResultFlusher
  readonly throughput: Throughput
  /** The labels of a model's metrics. */
  readonly labels: (model: string) => ModelLabels
  /** Which version of a model the engine serves now; null when it does not say. */
  readonly modelVersion: (model: string) => string | null
  /** A job ended: room for another. */
  readonly onFree: () => void
}
