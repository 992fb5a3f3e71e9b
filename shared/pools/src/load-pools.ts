import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Config } from '@forebay/config'
import { ForebayError } from '@forebay/kernel'
import { faultOfQueueUrl, parsePoolsFile } from './parse-pools.ts'
import type { PoolSet, PoolSpec } from './pool-spec.ts'

const usualFile = 'forebay.config.yaml'

/**
 * The pools of FOREBAY_CONFIG, or of forebay.config.yaml in the working folder; without such a file the one pool of the
 * environment. Throws `config_invalid` with every fault of the file, and for a file that is named but not there.
 */
export async function loadPools(options: {
  config: Pick<Config, 'configFile' | 'pool' | 'queueUrl'>
  env: Readonly<Record<string, string | undefined>>
  /** The queue of a pool from the environment without QUEUE_URL. */
  queueUrlDefault: string | undefined
  /** The only pool that is needed, by a process that serves it alone. */
  only?: string
  cwd?: string
}): Promise<PoolSet> {
  const { config, env } = options
  const file = config.configFile ?? usualFile
  const text = await readText(resolve(options.cwd ?? '.', file))
  if (text !== undefined) return { file, ...parsePoolsFile({ text, file, env, only: options.only }) }
  if (config.configFile !== undefined) {
    throw new ForebayError('config_invalid', `FOREBAY_CONFIG names ${file}, which is not there or cannot be read.`)
  }
  const queueUrl = config.queueUrl ?? options.queueUrlDefault
  if (queueUrl === undefined) {
    throw new ForebayError('config_invalid', `There is no queue: set QUEUE_URL, or write a ${usualFile}.`)
  }
  return { file: undefined, pools: [poolOfEnvironment(config.pool, queueUrl)] }
}

function poolOfEnvironment(name: string, queueUrl: string): PoolSpec {
  const fault = faultOfQueueUrl(queueUrl)
  if (fault !== undefined) throw new ForebayError('config_invalid', `QUEUE_URL ${fault}.`)
  const unsaid = { cloud: undefined, region: undefined, models: undefined, quantization: undefined }
  const numbers = { costPerGpuHour: undefined, gpus: undefined, minReplicas: 0, maxReplicas: undefined }
  const guesses = { spot: false, coldStartSeconds: undefined, tokensPerSecond: undefined }
  const rank = { tier: 1, managed: false, spendCapPerDay: undefined }
  return { name, queueUrl, blobUrl: undefined, ...unsaid, ...numbers, ...guesses, ...rank, residency: [] }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return undefined
  }
}
