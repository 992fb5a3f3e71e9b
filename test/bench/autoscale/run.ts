import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { ForebayError } from '@forebay/kernel'
import { makeScalingPolicy } from '@forebay/scaling'
import { readAzureTrace } from '@forebay/simulation'
import { burstyDay, type Day, dayOfTrace } from './day.ts'
import { type Fleet, type FleetPolicy, playDay } from './fleet.ts'
import { hpaOnCpu, hpaOnQueueLength, kedaOnMessages } from './hpa.ts'
import { oracleGpuHours } from './oracle.ts'

/** A replica: an engine of 9,000 tokens/s that works three minutes after it was asked for. */
const fleet: Fleet = {
  replicaRate: 9_000,
  coldStartMs: 180_000,
  drainMs: 30_000,
  maxReplicas: 16,
  liveWaitMs: 5_000,
}

/**
 * A day in simulated time under each policy: GPU-hours, and what missed its time. `toBest`: Forebay's GPU-hours over those
 * of the alternative with the fewest misses; `toOracle`: over the least that a policy could need that knows the day.
 */
export async function run(args: readonly string[]): Promise<object> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      hours: { type: 'string' },
      peak: { type: 'string' },
      trace: { type: 'string' },
    },
  })
  const seed = number('seed', values.seed ?? '1', 0)
  const day =
    values.trace === undefined
      ? burstyDay({
          seed,
          hours: number('hours', values.hours ?? '24', 1),
          replicaRate: fleet.replicaRate,
          peakReplicas: number('peak', values.peak ?? '5', 1),
        })
      : dayOfTrace(readAzureTrace(await readFile(values.trace, 'utf8')), { seed })
  const ours = playDay({ day, fleet, policy: forebay() })
  const others = [hpaOnCpu(), hpaOnQueueLength(), kedaOnMessages()].map((policy) => playDay({ day, fleet, policy }))
  const best = others.reduce((a, b) =>
    b.misses < a.misses || (b.misses === a.misses && b.gpuHours < a.gpuHours) ? b : a,
  )
  const oracle = { name: 'oracle', gpuHours: oracleGpuHours(day, fleet), misses: 0 }
  return {
    day: describe(day),
    policies: [ours, ...others, oracle],
    best: best.name,
    toBest: round(ours.gpuHours / best.gpuHours),
    toOracle: round(ours.gpuHours / oracle.gpuHours),
  }
}

/** The policy of services/autoscaler, as it is. */
function forebay(): FleetPolicy {
  const policy = makeScalingPolicy()
  const pool = 'pool'
  return {
    name: 'forebay',
    everyMs: 15_000,
    decide(view) {
      const [decision] = policy.decide({
        nowMs: view.nowMs,
        pools: [
          {
            ...{ name: pool, minReplicas: 0, maxReplicas: fleet.maxReplicas, costPerHour: 1, spot: false },
            ...{ coldStartMs: fleet.coldStartMs, tokensPerSecond: fleet.replicaRate, ready: view.ready },
            closed: undefined,
          },
        ],
        work: view.batches.map((batch) => ({ pools: [pool], lane: 'batch', ...batch })),
        live: [
          {
            pools: [pool],
            tokensPerSecond: view.liveTokensPerSecond,
            waitingTokens: view.liveWaitingTokens,
            ttftRatio: view.waitRatio,
          },
        ],
      })
      return decision?.desired ?? view.ready
    },
  }
}

function describe(day: Day): object {
  const live = day.live.reduce((sum, { tokens }) => sum + tokens, 0)
  const batch = day.batches.reduce((sum, { tokens }) => sum + tokens, 0)
  return {
    hours: round(day.durationMs / 3_600_000),
    liveRequests: day.live.reduce((sum, { requests }) => sum + requests, 0),
    batches: day.batches.length,
    liveReplicaHours: round(live / fleet.replicaRate / 3600),
    batchReplicaHours: round(batch / fleet.replicaRate / 3600),
  }
}

function round(value: number): number {
  return Number(value.toFixed(3))
}

function number(name: string, text: string, min: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= min) return value
  throw new ForebayError('invalid_value', `--${name} ${text}: give a whole number from ${min}.`)
}
