import type { Candidate, Spill } from './candidate.ts'

type Ruled = Pick<Candidate, 'name' | 'residency' | 'shut' | 'tier' | 'managed' | 'spendLeft' | 'load'>

/** The pools among which the score decides, why these, and why not the others. */
export interface Narrowed<C> {
  readonly among: readonly C[]
  /** Managed pools that may be used once all of `among` are full; none when the tiers spill by themselves. */
  readonly overflow: readonly C[]
  /** In words; empty when nothing but the score decides. */
  readonly because: string
  readonly ruledOut: readonly { readonly name: string; readonly reason: string }[]
}

/**
 * The hard rules, in order: residency; what is shut, was tried or has spent its cap; tiers; managed pools last. No score
 * overrides them.
 */
export function narrow<C extends Ruled>(
  pools: readonly C[],
  options: { residency: string | null; spill: Spill; tried?: ReadonlySet<string> | undefined },
): Narrowed<C> {
  const ruledOut: { name: string; reason: string }[] = []
  const usable = pools.filter((pool) => {
    const reason = whyNot(pool, options)
    if (reason !== undefined) ruledOut.push({ name: pool.name, reason })
    return reason === undefined
  })
  const own = usable.filter(({ managed }) => !managed)
  const bought = usable.filter(({ managed }) => managed)
  const found = firstTier(own, options.spill) ?? firstTier(bought, options.spill)
  // When everything is full, one waits in the first tier of one's own.
  const chosen = found ?? firstTier(own, 'down') ?? firstTier(bought, 'down')
  if (!chosen) return { among: [], overflow: [], because: '', ruledOut }
  for (const pool of usable) {
    if (!chosen.among.includes(pool)) ruledOut.push({ name: pool.name, reason: leftOut(pool, chosen) })
  }
  const overflow = options.spill === 'down' && !chosen.managed ? (firstTier(bought, 'down')?.among ?? []) : []
  return { among: chosen.among, overflow, because: because(chosen, pools, found === undefined), ruledOut }
}

interface Tier<C> {
  among: C[]
  tier: number
  managed: boolean
}

/** Why a pool may not be used now, whatever the others; undefined when it may. */
export function whyNot(
  pool: Ruled,
  options: { residency: string | null; tried?: ReadonlySet<string> | undefined },
): string | undefined {
  const { residency, tried } = options
  if (residency !== null && !pool.residency.includes(residency))
    return `does not carry the residency tag '${residency}'`
  if (tried?.has(pool.name)) return 'failed this request before'
  if (pool.shut !== undefined) return pool.shut
  return pool.spendLeft !== undefined && pool.spendLeft <= 0 ? 'has spent its cap for today' : undefined
}

function firstTier<C extends Ruled>(pools: readonly C[], spill: Spill): Tier<C> | undefined {
  const open = spill === 'down' ? pools : pools.filter(({ load }) => load < 1)
  if (open.length === 0) return undefined
  const tier = Math.min(...open.map((pool) => pool.tier))
  return { among: open.filter((pool) => pool.tier === tier), tier, managed: open.some(({ managed }) => managed) }
}

function leftOut(pool: Ruled, chosen: Tier<unknown>): string {
  if (pool.managed !== chosen.managed) return pool.managed ? 'is managed, and only for overflow' : 'is full'
  return pool.tier > chosen.tier ? `is of tier ${pool.tier}` : 'is full'
}

function because(chosen: Tier<unknown>, pools: readonly Ruled[], allFull: boolean): string {
  if (allFull) return 'every pool is full'
  if (chosen.managed && pools.some(({ managed }) => !managed)) return 'overflow: every pool of our own is full or down'
  const lower = pools.some((pool) => pool.managed === chosen.managed && pool.tier < chosen.tier)
  return lower ? `failover: every pool below tier ${chosen.tier} is full or down` : ''
}
