import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type BlobStore, openBlobs } from '@forebay/blobs'
import type { Config } from '@forebay/config'
import { type Clock, ForebayError, type Logger } from '@forebay/kernel'
import { loadPools } from './load-pools.ts'
import { openPools, type Pools } from './open-pools.ts'
import type { PoolSet, PoolSpec } from './pool-spec.ts'

/** The URL of the store that files are uploaded to: BLOB_URL, or a folder in the data folder. */
export function fileStoreUrlOf(config: Pick<Config, 'blobUrl' | 'dataDir'>): string {
  return config.blobUrl ?? pathToFileURL(resolve(config.dataDir, 'blobs')).href
}

/**
 * What a process that serves every pool stands on: the file store, and the pools of the configuration file or the
 * environment. The broker of an environment's one pool is opened at once, so that a wrong address is told at the start
 * (`unavailable`, `config_invalid`); those of a file are opened on first use, and one that is down stops nobody.
 */
export async function openConfiguredPools(options: {
  config: Config
  env: Readonly<Record<string, string | undefined>>
  databaseUrl: string
  clock: Clock
  logger: Logger
  /** Lanes on which a client waits do not leave this process. */
  liveInProcess?: boolean
}): Promise<{ blobs: BlobStore; pools: Pools; set: PoolSet }> {
  const { clock, config, databaseUrl, env, liveInProcess = false, logger } = options
  const set = await loadPools({ config, env, queueUrlDefault: databaseUrl })
  const fileStoreUrl = fileStoreUrlOf(config)
  const blobs = openBlobs({ url: fileStoreUrl })
  const pools = openPools({
    ...{ set, fileStore: blobs, fileStoreUrl, clock, logger, liveInProcess },
    leaseMs: config.queueLeaseMs,
  })
  if (set.file === undefined) await pools.queues(config.pool)
  return { blobs, pools, set }
}

/** The pool that a worker serves. Throws `config_invalid` when the file has none of that name. */
export function poolNamed(set: PoolSet, name: string): PoolSpec {
  const spec = set.pools.find((pool) => pool.name === name)
  if (spec) return spec
  const names = set.pools.map((pool) => pool.name).join(', ')
  throw new ForebayError(
    'config_invalid',
    `FOREBAY_POOL is '${name}', and ${set.file} has no such pool: it has ${names}.`,
  )
}
