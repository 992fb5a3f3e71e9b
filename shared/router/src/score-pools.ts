import type { Candidate, Weights } from './candidate.ts'

/** A pool's parts, each from 0 (worst) to 1 (best), and their weighted mean. */
export interface Scored<C> {
  readonly pool: C
  readonly score: number
  readonly parts: Weights
}

// What is not known is neither praised nor blamed for its cost; a latency not measured lately counts as the best, so that
// somebody measures it.
const costUnknown = 0.5

type Measures = Pick<Candidate, 'name' | 'latencyMs' | 'costPerHour' | 'load' | 'proximity'>

/** Scores pools against each other, best first; equal scores by less load, then by name, so that the order is always the same. */
export function scorePools<C extends Measures>(pools: readonly C[], weights: Weights): Scored<C>[] {
  const latencies = pools.flatMap(({ latencyMs }) => (latencyMs === undefined ? [] : [latencyMs]))
  const costs = pools.flatMap(({ costPerHour }) => (costPerHour === undefined ? [] : [costPerHour]))
  const best = { latencyMs: Math.min(...latencies), costPerHour: Math.min(...costs) }
  return pools
    .map((pool) => ({ pool, ...scoreOf(pool, best, weights) }))
    .sort((a, b) => {
      // Rounded, so that the order in which parts were added decides nothing.
      const better = Math.round(b.score * 1e9) - Math.round(a.score * 1e9)
      return better || a.pool.load - b.pool.load || (a.pool.name < b.pool.name ? -1 : 1)
    })
}

/** The parts of one pool beside the best latency and cost of all, and their weighted mean. */
export function scoreOf(
  pool: Measures,
  best: { latencyMs: number | undefined; costPerHour: number | undefined },
  weights: Weights,
): { score: number; parts: Weights } {
  const parts = {
    latency: pool.latencyMs === undefined ? 1 : share(best.latencyMs ?? 0, pool.latencyMs),
    cost: pool.costPerHour === undefined ? costUnknown : share(best.costPerHour ?? 0, pool.costPerHour),
    load: 1 - Math.min(1, Math.max(0, pool.load)),
    proximity: pool.proximity,
  }
  const total = weights.latency + weights.cost + weights.load + weights.proximity
  const sum =
    weights.latency * parts.latency +
    weights.cost * parts.cost +
    weights.load * parts.load +
    weights.proximity * parts.proximity
  return { parts, score: total > 0 ? sum / total : 0 }
}

/** The best value's share of this one: 1 for the best itself. */
function share(best: number, value: number): number {
  return value <= 0 ? 1 : best / value
}
