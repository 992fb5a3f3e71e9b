import type { LiveForecast } from './live-forecast.ts'
import type { LiveLoad, OutstandingWork, ScalingState } from './scaling-state.ts'

/** Tokens that must be done by then, all that is due earlier included. */
export interface Due {
  readonly deadlineMs: number
  readonly tokens: number
}

/** What the pools of one set are asked for together. */
export interface Demand {
  readonly pools: readonly string[]
  /** By deadline, the earliest first. */
  readonly due: readonly Due[]
  readonly tokens: number
  readonly live: LiveForecast & Pick<LiveLoad, 'tokensPerSecond' | 'ttftRatio' | 'waitingTokens'>
}

// Work without a deadline, as asynchronous single requests are, is to be done within so long.
const undatedMs = 10 * 60_000
const duesMax = 64
const noLive = { need: 0, mean: 0, tokensPerSecond: 0, waitingTokens: 0, ttftRatio: undefined }

/** Groups the outstanding work and the live traffic by the pools that may take it; the sets with the fewest pools first. */
export function gatherDemand(
  state: ScalingState,
  forecast: (key: string, live: LiveLoad) => LiveForecast,
): readonly Demand[] {
  const groups = new Map<string, { pools: readonly string[]; work: OutstandingWork[]; live: Demand['live'] }>()
  const known = new Set(state.pools.map(({ name }) => name))
  const groupOf = (names: readonly string[]) => {
    const pools = [...new Set(names)].filter((name) => known.has(name)).sort()
    const key = pools.join(' ')
    const group = groups.get(key) ?? { pools, work: [], live: noLive }
    groups.set(key, group)
    return { key, group }
  }
  for (const work of state.work) groupOf(work.pools).group.work.push(work)
  for (const load of state.live) {
    const { group, key } = groupOf(load.pools)
    const { ttftRatio, tokensPerSecond, waitingTokens } = load
    group.live = { ...forecast(key, load), ttftRatio, tokensPerSecond, waitingTokens }
  }
  return [...groups.values()]
    .filter(({ pools }) => pools.length > 0)
    .sort((a, b) => a.pools.length - b.pools.length)
    .map(({ live, pools, work }) => ({
      ...{ pools, live },
      due: duesOf(work, state.nowMs),
      tokens: work.reduce((sum, { tokens }) => sum + tokens, 0),
    }))
}

function duesOf(work: readonly OutstandingWork[], nowMs: number): Due[] {
  const sorted = work
    .filter(({ tokens }) => tokens > 0)
    .map(({ deadlineMs = nowMs + undatedMs, tokens }) => ({ deadlineMs, tokens }))
    .sort((a, b) => a.deadlineMs - b.deadlineMs)
  const perDue = Math.ceil(sorted.length / duesMax)
  const dues: Due[] = []
  let total = 0
  for (let from = 0; from < sorted.length; from += perDue) {
    const some = sorted.slice(from, from + perDue)
    total += some.reduce((sum, { tokens }) => sum + tokens, 0)
    // Several taken together are due when the first of them is.
    dues.push({ deadlineMs: some[0]?.deadlineMs ?? nowMs, tokens: total })
  }
  return dues
}
