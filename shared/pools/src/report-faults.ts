import { lanes, queueName } from '@forebay/contracts'
import { describeError, type Logger } from '@forebay/kernel'
import type { Pools } from './open-pools.ts'

/**
 * Asks every pool's queues and store whether they can be used, and logs each fault with
 * its pool: a missing permission, a missing queue, a wrong address. Never rejects: one pool's fault stops no other.
 */
export async function reportFaults(options: { pools: Pools; logger: Logger }): Promise<void> {
  const { logger, pools } = options
  const check = async (pool: string, what: string, work: () => Promise<unknown>) => {
    await work().catch((err: unknown) =>
      logger.error({ pool, what, reason: describeError(err) }, 'pool cannot be used'),
    )
  }
  await Promise.all(
    pools.list().flatMap(({ name }) => [
      check(name, 'queues', async () => {
        const queues = await pools.queues(name)
        for (const queue of [...lanes, 'results'] as const) await queues.queue(queueName(name, queue)).ensure()
      }),
      check(name, 'blobs', () => pools.blobs(name).check()),
    ]),
  )
}
