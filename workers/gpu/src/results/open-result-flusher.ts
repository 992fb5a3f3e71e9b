import type { BlobStore } from '@forebay/blobs'
import { queueName, resultEventSchema } from '@forebay/contracts'
import type { EngineMeter } from '@forebay/engine-time'
import type { Clock, Logger } from '@forebay/kernel'
import { makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import type { QueueProvider } from '@forebay/queue-port'
import type { WorkerMetrics } from '../metrics.ts'
import type { WorkerTuning } from '../tuning.ts'
import { ResultFlusher } from './result-flusher.ts'

/** A flusher to the results queue of a pool. */
export function openResultFlusher(options: {
  blobs: Pick<BlobStore, 'put'>
  queues: QueueProvider
  clock: Clock
  logger: Logger
  metrics: WorkerMetrics
  meter: EngineMeter
  workerId: string
  pool: string
  tuning: Pick<WorkerTuning, 'flushMs' | 'flushResults' | 'idleEveryMs'>
}): ResultFlusher {
  const { clock, pool, queues, tuning } = options
  return new ResultFlusher({
    ...options,
    sender: makeJobSender({
      driver: queues.queue(queueName(pool, 'results')),
      codec: makeJsonCodec(resultEventSchema),
      clock,
    }),
    intervalMs: tuning.flushMs,
    resultsMax: tuning.flushResults,
    idleEveryMs: tuning.idleEveryMs,
  })
}
