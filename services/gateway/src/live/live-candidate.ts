import type { PoolSpec, RoutingSpec } from '@forebay/pools'
import { type Candidate, proximity } from '@forebay/router'
import type { ServingPool } from './worker-book.ts'

/** A pool, and what a gateway knows of it at the moment. */
export interface PoolNow {
  name: string
  spec: PoolSpec | undefined
  /** Its live workers that serve the model; undefined when there are none. */
  serving: ServingPool | undefined
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
  const { latencyMs, name, ownCalls, serving, shut, spec, spentNano } = pool
  const cap = spec?.spendCapPerDay
  // What was sent since the last announcement tells pools apart, but a worker finds out by itself how much it can take.
  const own = Math.min(almostFull, ownCalls / (serving?.seats ?? 1))
  return {
    ...{ name, latencyMs, shut },
    residency: spec?.residency ?? [],
    asleep: serving?.asleep ?? false,
    tier: spec?.tier ?? 1,
    managed: spec?.managed ?? false,
    spendLeft: cap === undefined ? undefined : cap * 1e9 - spentNano,
    costPerHour: spec?.costPerGpuHour === undefined ? undefined : spec.costPerGpuHour * (spec.gpus ?? 1),
    load: Math.max(serving?.taken ?? 0, own),
    proximity: proximity(routing.home, { cloud: spec?.cloud, region: spec?.region }),
  }
}
