import type { Config } from '@forebay/config'
import { type Clock, ForebayError, type Logger } from '@forebay/kernel'
import { type PoolSet, poolNamed } from '@forebay/pools'
import type { LocalScaler } from '../start-autoscaler.ts'
import { LocalWorkers } from './local-scaler.ts'
import { startWorkerProcess } from './worker-process.ts'

/**
 * The workers that this process starts itself, with these variables, when FOREBAY_LOCAL_WORKERS says so. Throws
 * `config_invalid` when that contradicts the pool's own bounds.
 */
export function makeLocalScaling(options: {
  config: Config
  set: PoolSet
  env: Record<string, string | undefined>
  clock: Clock
  logger: Logger
}): { scaler: LocalScaler; min: number; max: number } | undefined {
  const { clock, config, env, logger, set } = options
  if (config.localWorkers === undefined) return undefined
  const { max, min } = config.localWorkers
  const spec = poolNamed(set, config.pool)
  if (spec.maxReplicas !== undefined && min > spec.maxReplicas) {
    throw new ForebayError(
      'config_invalid',
      `FOREBAY_LOCAL_WORKERS is ${min}..${max}, and maxReplicas of the pool ${spec.name} is ${spec.maxReplicas}: the least must not be more than that.`,
    )
  }
  const graceMs = config.drainMs + 10_000
  const start = () => startWorkerProcess({ env, clock, graceMs })
  return {
    scaler: new LocalWorkers({ start, clock, logger, pool: config.pool }),
    min,
    max: Math.min(max, spec.maxReplicas ?? max),
  }
}
