import { bareWorkJob, queueName, type RequestJob, type WorkJob, workJobSchema } from '@forebay/contracts'
import type { Clock, Logger } from '@forebay/kernel'
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
 * for, and of dead letters those that still have their content. Answers how many requests for which `isTheirs` holds still wait to run.
 */
export async function dropExpiredRequests(
  options: WaitingOptions,
  isTheirs: (job: RequestJob) => boolean,
): Promise<number> {
  const { clock, pools } = options
  const theirs = new Set<string>()
  for (const { name } of pools.list()) {
    const queues = await pools.queues(name)
    for (const lane of lanes) {
      const driver = queues.queue(queueName(name, lane))
      await driver.ensure()
      await dropJobs<WorkJob>({
        ...options,
        driver,
        codec,
        leaseMs,
        dead: deadMax,
        drop: (job) => {
          if (job.kind !== 'request') return false
          const expired = job.deadlineMs <= clock.now()
          if (!expired && isTheirs(job)) theirs.add(job.requestId)
          return expired
        },
      })
    }
  }
  return theirs.size
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
