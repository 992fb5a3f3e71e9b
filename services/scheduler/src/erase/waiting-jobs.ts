import { bareWorkJob, queueName, type RequestJob, type WorkJob, workJobSchema } from '@forebay/contracts'
import { type Clock, describeError, type Logger } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import { dropJobs, makeJsonCodec, tenantBodyPrefixes } from '@forebay/queue-core'

const lanes = ['realtime', 'standard'] as const
const leaseMs = 30_000
const deadMax = 10_000
const codec = makeJsonCodec<WorkJob>(workJobSchema, bareWorkJob)

/** What looking at queues needs. */
export interface WaitingOptions {
  pools: Pools
  clock: Clock
  logger: Logger
}

/**
 * Drops from every pool's queues the live requests whose deadline is past, whoever's they are: those that no worker came
 * for, and of dead letters those that still have their content. Answers how many requests for which `isTheirs` holds
 * still wait to run. Rejects when a pool cannot be reached.
 */
export async function dropExpiredRequests(
  options: WaitingOptions,
  isTheirs: (job: RequestJob) => boolean,
): Promise<number> {
  const theirs = new Set<string>()
  const onKept = (job: RequestJob) => {
    if (isTheirs(job)) theirs.add(job.requestId)
  }
  for (const { name } of options.pools.list()) await dropFrom(options, name, { whole: true, onKept })
  return theirs.size
}

/** The same of what lies at the head of the queues, which is the oldest: where no worker comes it is all there is. Never rejects. */
export async function sweepQueues(options: WaitingOptions): Promise<void> {
  for (const { name } of options.pools.list()) {
    await dropFrom(options, name, { whole: false, onKept: () => {} }).catch((err: unknown) => {
      options.logger.warn({ pool: name, reason: describeError(err) }, 'old requests on queues not looked for')
    })
  }
}

async function dropFrom(
  options: WaitingOptions,
  pool: string,
  how: { whole: boolean; onKept: (job: RequestJob) => void },
): Promise<void> {
  const { clock, pools } = options
  const queues = await pools.queues(pool)
  for (const lane of lanes) {
    const driver = queues.queue(queueName(pool, lane))
    await driver.ensure()
    const drop = (job: WorkJob) => {
      if (job.kind !== 'request') return false
      const expired = job.deadlineMs <= clock.now()
      if (!expired) how.onKept(job)
      return expired
    }
    await dropJobs({ ...options, driver, codec, leaseMs, drop, dead: how.whole ? deadMax : 0, whole: how.whole })
  }
}

/** Deletes the bodies stored beside queues that were sent for a tenant before the hour of `beforeMs`. */
export async function deleteBodies(
  options: { blobs: { deletePrefix(prefix: string): Promise<void> }; pools: Pools },
  of: { tenantId: string; beforeMs: number },
): Promise<void> {
  const { blobs, pools } = options
  const own = pools.list().filter(({ name }) => !pools.sharesFileStore(name))
  for (const store of [blobs, ...own.map(({ name }) => pools.blobs(name))]) {
    for (const prefix of tenantBodyPrefixes(of.tenantId, of.beforeMs)) await store.deletePrefix(prefix)
  }
}
