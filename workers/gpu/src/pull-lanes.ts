import type { BlobStore } from '@forebay/blobs'
import type { Config } from '@forebay/config'
import {
  bareWorkJob,
  type ChunkJob,
  type Lane,
  lanes,
  queueName,
  type RequestJob,
  type WorkJob,
  workJobSchema,
} from '@forebay/contracts'
import type { Clock, Logger } from '@forebay/kernel'
import { bodiesIn, JobReceiver, LanePuller, type LeasedJob, makeJsonCodec } from '@forebay/queue-core'
import type { QueueProvider } from '@forebay/queue-port'

// A chunk delivered again is only handed back and a request has its deadline: neither should end as a dead letter. Less
// than any broker's own limit: what a broker sets aside by itself keeps its content.
const deliveriesMax = 50

/** The lanes of a worker's pool, being pulled. */
export interface Pulling {
  start(): void
  /** Asks `want` again. */
  wake(): void
  /** Ends the polls; what was received stays leased. */
  stop(): Promise<void>
  /** Gives back what was received and never settled, and ends the leases. */
  release(): Promise<void>
}

type Receiver = Pick<JobReceiver<WorkJob>, 'settle'>

/** Pulls realtime, standard and batch each on its own, so that a worker can take one while it refuses another. */
export function pullLanes(options: {
  config: Config
  clock: Clock
  logger: Logger
  blobs: BlobStore
  queues: QueueProvider
  want: (lane: Lane) => number
  onChunk: (leased: LeasedJob<ChunkJob>, receiver: Receiver) => void
  onRequest: (leased: LeasedJob<RequestJob>, receiver: Receiver) => void
}): Pulling {
  const { clock, config, logger, queues } = options
  const bodies = bodiesIn(options.blobs)
  const pulled = lanes.map((lane) => {
    const receiver = new JobReceiver<WorkJob>({
      driver: queues.queue(queueName(config.pool, lane)),
      codec: makeJsonCodec(workJobSchema, bareWorkJob),
      clock,
      logger,
      leaseMs: config.queueLeaseMs,
      maxAttempts: deliveriesMax,
      bodies,
    })
    return {
      name: queueName(config.pool, lane),
      receiver,
      want: () => options.want(lane),
      onJob(leased: LeasedJob<WorkJob>) {
        if (leased.job.kind === 'chunk') options.onChunk(leased as LeasedJob<ChunkJob>, receiver)
        else options.onRequest(leased as LeasedJob<RequestJob>, receiver)
      },
    }
  })
  const puller = new LanePuller<WorkJob>({ clock, logger, lanes: pulled })
  return {
    start: () => puller.start(),
    wake: () => puller.wake(),
    stop: () => puller.stop(),
    release: async () => void (await Promise.all(pulled.map(({ receiver }) => receiver.stop()))),
  }
}
