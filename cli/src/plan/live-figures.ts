import type { Page } from '../api-objects.ts'
import type { Context } from '../context.ts'
import { usageFailure } from '../failure.ts'
import { count } from '../text.ts'
import { histogramQuantile } from './histogram-quantile.ts'

interface Pool {
  name: string
  models: string[]
  workers: number
  tokens_per_second: number
  gpus: number | null
  cost_per_gpu_hour: number | null
}

/** What a live system was found to do. */
export interface LiveFigures {
  pool: string
  workers: number
  /** Prompt and output together, of one worker. */
  tokensPerSecond: number
  /** 95 of 100 live requests had their first byte within it, at the gateway that was asked, since it started; null when none were served. */
  firstByteP95Ms: number | null
  /** GPUs of one worker; null when the pool's configuration does not say. */
  gpus: number | null
  costPerGpuHour: number | null
}

/**
 * Asks a live system what a worker of a pool gets through; needs an admin key. Without `pool` it must have one pool, or
 * one that serves `model`. A Failure when that cannot be told, or when the pool has put out nothing yet.
 */
export async function readLiveFigures(
  context: Pick<Context, 'api' | 'settings'>,
  wanted: { pool: string | undefined; model: string | undefined },
): Promise<LiveFigures> {
  const { data } = await context.api().call<Page<Pool>>('GET', '/admin/pools')
  const pool = choose(data, wanted)
  if (pool.workers === 0 || pool.tokens_per_second === 0) {
    const has = `${count(pool.workers, 'worker')} and ${pool.tokens_per_second} tokens/s`
    throw usageFailure(`Nothing is measured: the pool ${pool.name} has ${has}. Run your load, then plan again.`)
  }
  return {
    pool: pool.name,
    workers: pool.workers,
    tokensPerSecond: pool.tokens_per_second / pool.workers,
    firstByteP95Ms: await firstByteP95Ms(context.settings().config.url),
    gpus: pool.gpus,
    costPerGpuHour: pool.cost_per_gpu_hour,
  }
}

function choose(
  pools: readonly Pool[],
  { model, pool }: { pool: string | undefined; model: string | undefined },
): Pool {
  const fit =
    pool !== undefined
      ? pools.filter(({ name }) => name === pool)
      : pools.length > 1
        ? pools.filter(({ models }) => model !== undefined && models.includes(model))
        : pools
  const [found] = fit
  if (found && fit.length === 1) return found
  const names = pools.map(({ name }) => name).join(', ') || 'none'
  const why = pool === undefined ? 'Which pool to measure is not clear' : `There is no pool '${pool}'`
  throw usageFailure(`${why}: name it with --pool. There are: ${names}.`)
}

/** Null where the gateway's metrics are kept from outside: then the estimate stands. */
async function firstByteP95Ms(url: string): Promise<number | null> {
  const base = url.replace(/\/+$/, '').replace(/\/v1$/, '')
  const text = await fetch(`${base}/metrics`, { signal: AbortSignal.timeout(10_000) }).then(
    (response) => (response.ok ? response.text() : ''),
    () => '',
  )
  const seconds = histogramQuantile(text, 'forebay_live_first_byte_seconds', 0.95)
  return seconds === null ? null : seconds * 1000
}
