import type { Candidate, Spill, Weights } from './candidate.ts'
import { type Narrowed, narrow, whyNot } from './narrow.ts'
import { type Scored, scoreOf, scorePools } from './score-pools.ts'
import { rankSticky } from './sticky.ts'

/** Scores that are this near to the best one are as good: a prompt whose prefix may be cached goes where it went before. */
const nearMax = 0.1

/** Where a request goes, and why. */
export interface RouteDecision<C> {
  /** Undefined when no pool may run it. */
  readonly pool: C | undefined
  /** One word: `only` (no other may), `score`, `sticky`, `failover`, `overflow`, `full`; `none`. */
  readonly reason: 'only' | 'score' | 'sticky' | 'failover' | 'overflow' | 'full' | 'none'
  /** One sentence. */
  readonly why: string
  readonly scores: readonly { readonly name: string; readonly score: number; readonly parts: Weights }[]
  readonly ruledOut: Narrowed<C>['ruledOut']
}

/**
 * Chooses a pool for one request: the hard rules first (residency, health, caps, tiers, managed last), then the weighted
 * score; among scores as good as the best, those where the model is awake, and of these the one that the key of its prefix
 * prefers. Pure; equal input, equal answer.
 */
export function chooseRoute<C extends Candidate>(options: {
  pools: readonly C[]
  residency: string | null
  weights: Weights
  spill: Spill
  /** What requests with the same prefix share; undefined: nothing of it is worth keeping together. */
  stickyKey?: string | undefined
  /** Pools that failed this request. */
  tried?: ReadonlySet<string> | undefined
}): RouteDecision<C> {
  const { pools, stickyKey, weights } = options
  const [only] = pools
  if (only && pools.length === 1 && only.load < 1 && whyNot(only, options) === undefined)
    return chosenAlone(only, weights)
  const narrowed = narrow(pools, options)
  const { because, ruledOut } = narrowed
  const ranked = scorePools(narrowed.among, weights)
  const [best] = ranked
  if (!best) {
    const list = ruledOut.map(({ name, reason }) => `${name} ${reason}`).join('; ')
    const why = list === '' ? 'No pool serves the model.' : `No pool can be used: ${list}.`
    return { pool: undefined, reason: 'none', why, scores: [], ruledOut }
  }
  const asGood = ranked.filter(({ score }) => best.score - score <= nearMax)
  const awake = asGood.filter(({ pool }) => pool.asleep !== true)
  const near = awake.length > 0 ? awake : asGood
  const [kept] =
    stickyKey === undefined
      ? []
      : rankSticky(
          stickyKey,
          near.map(({ pool }) => pool),
        )
  const chosen = near.find(({ pool }) => pool === kept) ?? near[0] ?? best
  const reason = reasonOf(because) ?? (ranked.length === 1 ? 'only' : kept && near.length > 1 ? 'sticky' : 'score')
  return {
    pool: chosen.pool,
    reason,
    why: sentence(chosen, ranked, {
      because,
      sticky: reason === 'sticky',
      awake: best.pool.asleep === true && chosen.pool.asleep !== true,
    }),
    scores: ranked.map(({ parts, pool, score }) => ({ name: pool.name, score, parts })),
    ruledOut,
  }
}

// Most deployments have one pool for a model, and every live request asks.
function chosenAlone<C extends Candidate>(pool: C, weights: Weights): RouteDecision<C> {
  const { name } = pool
  const why = `${name}: no other pool may run it.`
  return { pool, reason: 'only', why, scores: [{ name, ...scoreOf(pool, pool, weights) }], ruledOut: [] }
}

function reasonOf(because: string): 'failover' | 'overflow' | 'full' | undefined {
  if (because.startsWith('failover')) return 'failover'
  if (because.startsWith('overflow')) return 'overflow'
  return because === '' ? undefined : 'full'
}

function sentence<C extends Candidate>(
  chosen: Scored<C>,
  ranked: readonly Scored<C>[],
  { awake, because, sticky }: { because: string; sticky: boolean; awake: boolean },
): string {
  const { parts, pool, score } = chosen
  const lead = because === '' ? '' : `${because}; `
  if (ranked.length === 1) return `${pool.name}: ${lead}no other pool may run it.`
  const list = (['latency', 'cost', 'load', 'proximity'] as const).map((name) => `${name} ${parts[name].toFixed(2)}`)
  const kept = sticky ? 'keeps this prefix, near the best score' : 'the best score'
  const rank = awake ? 'has the model awake, near the best score' : kept
  return `${pool.name}: ${lead}${rank} of ${ranked.length} pools, ${score.toFixed(2)} (${list.join(', ')}).`
}
