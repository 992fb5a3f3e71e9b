import type { Announcement } from '@forebay/contracts'
import type { PoolSpec, RoutingSpec } from '@forebay/pools'
import { type Candidate, proximity } from '@forebay/router'

/** A pool, and what a gateway knows of it at the moment. */
export interface PoolNow {
  name: string
  spec: PoolSpec | undefined
  model: string
  /** Its live workers that serve the model. */
  workers: readonly Announcement[]
  /** This gateway's own calls under way there. */
  ownCalls: number
  /** Charged for it today, in nano-units. */
  spentNano: number
  latencyMs: number | undefined
  shut: string | undefined
}

const almostFull = 0.99

/** The pool as the router takes it. */
export function liveCandidate(pool: PoolNow, routing: RoutingSpec): Candidate {
  const { latencyMs, name, ownCalls, shut, spec, spentNano, workers } = pool
  const cap = spec?.spendCapPerDay
  const seats = Math.max(
    1,
    sum(workers, ({ inFlightMax }) => inFlightMax),
  )
  // Batch work yields to live work, so it hardly counts.
  const told = sum(workers, ({ inFlight }) => inFlight.realtime + inFlight.standard + inFlight.batch / 100) / seats
  // What was sent since the last announcement tells pools apart, but a worker finds out by itself how much it can take.
  const own = Math.min(almostFull, ownCalls / seats)
  return {
    ...{ name, latencyMs, shut },
    residency: spec?.residency ?? [],
    asleep: workers.length > 0 && workers.every((worker) => isAsleep(worker, pool.model)),
    tier: spec?.tier ?? 1,
    managed: spec?.managed ?? false,
    spendLeft: cap === undefined ? undefined : cap * 1e9 - spentNano,
    costPerHour: spec?.costPerGpuHour === undefined ? undefined : spec.costPerGpuHour * (spec.gpus ?? 1),
    load: Math.max(told, own),
    proximity: proximity(routing.home, { cloud: spec?.cloud, region: spec?.region }),
  }
}

function isAsleep(worker: Announcement, model: string): boolean {
  return worker.models.some(({ asleep, id }) => id === model && asleep === true)
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
