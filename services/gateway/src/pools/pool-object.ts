import { type Announcement, type Lane, lanes, queueName } from '@forebay/contracts'
import { describeError } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import { z } from 'zod'
import { seconds } from '../http/list-page.ts'
import { missingWorkers, type PoolScaling } from './missing-workers.ts'

const count = z.number().int()
const depthSchema = z.object({ waiting: count, in_flight: count, dead: count })

/** A pool: what it is configured to be, and how it is. */
export const poolSchema = z
  .object({
    name: z.string(),
    object: z.literal('pool'),
    cloud: z.string().nullable(),
    region: z.string().nullable(),
    quantization: z.string().nullable(),
    residency: z.array(z.string()),
    cost_per_gpu_hour: z.number().nullable(),
    gpus: count.nullable(),
    min_replicas: count,
    max_replicas: count.nullable(),
    state: z.enum(['up', 'no_workers', 'drained', 'unreachable']),
    reason: z
      .string()
      .nullable()
      .describe('Why it is unreachable, or has no worker while there is work, or lacks some'),
    drained_at: count.nullable(),
    models: z.array(z.string()).describe('What its workers serve now'),
    workers: count.describe('Healthy workers heard of in the last seconds'),
    tokens_per_second: z.number().describe('Put out by its workers'),
    in_flight: z.object({ realtime: count, standard: count, batch: count }).describe('Requests at its engines'),
    depth: z
      .object({ realtime: depthSchema, standard: depthSchema, batch: depthSchema, results: depthSchema })
      .nullable()
      .describe('Messages on its broker; null when that does not answer'),
  })
  .meta({ id: 'Pool' })

type Pool = z.infer<typeof poolSchema>

/** A pool as the API shows it, with what was last decided about its workers. Its broker is asked; one that does not answer makes the pool `unreachable`, no error. */
export async function poolObject(
  pools: Pools,
  pool: { name: string; drainedAt: Date | undefined; workers: readonly Announcement[] },
  scaled?: PoolScaling | undefined,
): Promise<Pool> {
  const { drainedAt, name, workers } = pool
  const spec = pools.spec(name)
  let reason: string | null = null
  const depth = await depthOf(pools, name).catch((err: unknown) => {
    reason = describeError(err)
    return null
  })
  reason ??= pools.trouble(name)?.reason ?? null
  const missing =
    reason !== null || drainedAt
      ? null
      : missingWorkers({
          workers: workers.length,
          waiting: waitingIn(depth),
          scaled,
          coldStartSeconds: spec?.coldStartSeconds,
        })
  const inFlight = (lane: Lane) => workers.reduce((sum, worker) => sum + worker.inFlight[lane], 0)
  return {
    name,
    object: 'pool',
    cloud: spec?.cloud ?? null,
    region: spec?.region ?? null,
    quantization: spec?.quantization ?? null,
    residency: [...(spec?.residency ?? [])],
    cost_per_gpu_hour: spec?.costPerGpuHour ?? null,
    gpus: spec?.gpus ?? null,
    min_replicas: spec?.minReplicas ?? 0,
    max_replicas: spec?.maxReplicas ?? null,
    state: drainedAt ? 'drained' : reason !== null ? 'unreachable' : workers.length === 0 ? 'no_workers' : 'up',
    reason: reason ?? missing,
    drained_at: drainedAt ? seconds(drainedAt) : null,
    models: [...new Set(workers.flatMap((worker) => worker.models.map(({ id }) => id)))].sort(),
    workers: workers.length,
    tokens_per_second: Math.round(workers.reduce((sum, worker) => sum + worker.tokensPerSecond, 0)),
    in_flight: { realtime: inFlight('realtime'), standard: inFlight('standard'), batch: inFlight('batch') },
    depth,
  }
}

function waitingIn(depth: Pool['depth']): number {
  return depth ? lanes.reduce((sum, lane) => sum + depth[lane].waiting, 0) : 0
}

async function depthOf(pools: Pools, name: string): Promise<Pool['depth']> {
  const queues = await pools.queues(name)
  const names = [...lanes, 'results'] as const
  const depths = await Promise.all(
    names.map(async (queue) => {
      const { dead, delayed, inFlight, visible } = await queues.queue(queueName(name, queue)).depth()
      return [queue, { waiting: visible + delayed, in_flight: inFlight, dead }] as const
    }),
  )
  return Object.fromEntries(depths) as NonNullable<Pool['depth']>
}
