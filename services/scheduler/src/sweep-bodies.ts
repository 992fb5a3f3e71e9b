import type { BlobStore } from '@forebay/blobs'
import { describeError, type Logger } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import { oldBodyPrefixes } from '@forebay/queue-core'

/**
 * Deletes the bodies of jobs, stored beside a queue because its broker takes none so large, that nobody came for: of
 * queues that were emptied, of dead letters. A store that does not answer is left for the next run. Never rejects.
 */
export async function sweepBodies(options: {
  blobs: BlobStore
  pools: Pools
  logger: Logger
  nowMs: number
}): Promise<void> {
  const { blobs, logger, nowMs, pools } = options
  const own = pools.list().filter(({ name }) => !pools.sharesFileStore(name))
  for (const store of [blobs, ...own.map(({ name }) => pools.blobs(name))]) {
    try {
      for (const prefix of oldBodyPrefixes(nowMs)) await store.deletePrefix(prefix)
    } catch (err) {
      logger.warn({ reason: describeError(err) }, 'old bodies of jobs could not be deleted')
    }
  }
}
